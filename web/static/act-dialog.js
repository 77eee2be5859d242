// Ask before an act that binds, with what it needs: its effect in a sentence, its fields, and a button that comes alive only after a moment.
import { h, values } from "./dom.js";
import { t } from "./words.js";

const WAIT_MS = 600; // a double-tap must not do it

/** @typedef {{name: string, word: string, type?: string, required?: boolean, hint?: string, options?: [string, string][]}} Field a value and a word for each option */

/**
 * Ask; give the fields' values, or null when it is not done. What `act` refuses is shown in the dialog, and nothing typed is lost.
 * @param {{title: string, effect: string, fields: Field[], danger?: boolean, act: (given: Record<string, string>) => Promise<unknown>}} wish
 * @returns {Promise<boolean>}
 */
export function askAct(wish) {
  return new Promise((resolve) => {
    const said = h("p", { class: "notice bad hidden", role: "alert" });
    const yes = h("button", { class: wish.danger ? "danger" : "primary", disabled: true }, wish.title);
    const fields = wish.fields.map((one) => {
      const attributes = { name: one.name, required: one.required !== false, maxlength: "1000", type: one.type, autocomplete: one.type === "password" ? "off" : undefined };
      const choice = one.options && h("select", { name: one.name, required: attributes.required }, h("option", { value: "" }, "–"), ...one.options.map(([value, word]) => h("option", { value }, word)));
      const field = choice ?? (one.type === undefined ? h("textarea", { ...attributes, type: undefined, rows: "2" }) : h("input", attributes));
      return h("label", {}, h("span", {}, one.word), field, one.hint && h("span", { class: "soft small" }, one.hint));
    });
    const form = h(
      "form",
      {
        class: "stack",
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          if (yes.disabled) return;
          yes.disabled = true;
          try {
            await wish.act(values(form));
            dialog.close("yes");
          } catch (error) {
            said.textContent = error instanceof Error ? error.message : "";
            said.classList.remove("hidden");
            yes.disabled = false;
          }
        },
      },
      h("h2", {}, wish.title),
      h("p", {}, wish.effect),
      ...fields,
      said,
      h("div", { class: "row" }, yes, h("button", { type: "button", onclick: () => dialog.close("") }, t("app.cancel"))),
    );
    const dialog = h("dialog", { class: "stack act", "aria-label": wish.title }, form);
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    /** @type {HTMLElement | null} */ (form.querySelector("textarea, input, select") ?? form.querySelector("button[type=button]"))?.focus();
    window.setTimeout(() => (yes.disabled = false), WAIT_MS);
  });
}
