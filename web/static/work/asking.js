// Ask for words - a reason, a name, a note - with reasons to choose from where the law names them; none is chosen beforehand.
import { h } from "../dom.js";
import { t } from "../words.js";

/**
 * @param {string} title @param {string} effect @param {string} word of the field @param {string[]} [offers]
 * @returns {Promise<string | null>} null when it was given up
 */
export function askWords(title, effect, word, offers = []) {
  return new Promise((resolve) => {
    const field = h("textarea", { name: "words", required: true, maxlength: "400", rows: "2" });
    const form = h(
      "form",
      {
        class: "stack",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          if (field.value.trim()) dialog.close("yes");
        },
      },
      h("h2", {}, title),
      h("p", {}, effect),
      offers.length > 0 && h("div", { class: "work-options" }, ...offers.map((offer) => h("button", { type: "button", class: "work-option", onclick: () => (field.value = offer) }, offer))),
      h("label", {}, h("span", {}, word), field),
      h("div", { class: "row" }, h("button", { class: "primary" }, title), h("button", { type: "button", onclick: () => dialog.close("") }, t("app.cancel"))),
    );
    const dialog = h("dialog", {}, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? field.value.trim() : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
