// Ask before an act that binds: its effect in one sentence, and a button that comes alive only after a moment.
import { h, values } from "./dom.js";
import { t } from "./words.js";

const WAIT_MS = 600; // a double-tap must not do it

/** Say that an act was refused, and why. @param {string} title @param {unknown} error */
export function sayNo(title, error) {
  const dialog = h("dialog", { class: "stack" }, h("h2", {}, title), h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""), h("button", { onclick: () => dialog.close() }, t("app.close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * Ask for one line of text, such as a reason; null when it is not given.
 * @param {string} effect what the act does, in a sentence
 * @param {string} word of the field
 * @param {string} [title] of the button
 * @returns {Promise<string | null>}
 */
export function askFor(effect, word, title = t("app.go-on")) {
  return new Promise((resolve) => {
    const field = h("input", { name: "answer", required: true, maxlength: "1000" });
    const form = h(
      "form",
      {
        class: "stack",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          dialog.close(values(form)["answer"] ? "yes" : "");
        },
      },
      h("p", {}, effect),
      h("label", {}, h("span", {}, word), field),
      h("div", { class: "row" }, h("button", { class: "primary" }, title), h("button", { type: "button", onclick: () => dialog.close("") }, t("app.cancel"))),
    );
    const dialog = h("dialog", { class: "stack" }, form);
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? field.value.trim() : null);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    field.focus();
  });
}

/** @param {string} title @param {string} effect @param {Node | null} [more] what it is about, listed @returns {Promise<boolean>} */
export function confirmAct(title, effect, more = null) {
  return new Promise((resolve) => {
    const yes = h("button", { class: "primary", disabled: true, onclick: () => dialog.close("yes") }, title);
    const dialog = h("dialog", { class: "stack" }, h("h2", {}, title), h("p", {}, effect), more ?? "", h("div", { class: "row" }, yes, h("button", { onclick: () => dialog.close("no") }, t("app.cancel"))));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    setTimeout(() => (yes.disabled = false), WAIT_MS);
  });
}
