// A rule set in force, as text; an administrator puts another in force, with a second person and that person's password.
import { call, mayBe } from "./api.js";
import { fill, h, values } from "./dom.js";
import { t } from "./words.js";

/** @typedef {{name: string, text: string, sets: {version: number, effective: string, position: number, sha256: string}[]}} Rules */

export class RuleSetCard extends HTMLElement {
  constructor() {
    super();
    this.body = h("div", { class: "stack below" });
    this.loaded = false;
  }

  connectedCallback() {
    const opened = (/** @type {Event} */ event) => {
      if (/** @type {HTMLDetailsElement} */ (event.target).open && !this.loaded) void this.load();
    };
    fill(this, h("details", { class: "card", ontoggle: opened }, h("summary", {}, h("strong", {}, this.getAttribute("name") ?? "")), this.body));
  }

  async load() {
    this.loaded = true;
    try {
      /** @type {Rules} */
      const rules = await call("GET", this.getAttribute("read") ?? "");
      this.show(rules);
    } catch (error) {
      this.loaded = false;
      fill(this.body, h("p", { class: "notice bad", role: "alert" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Rules} rules */
  show(rules) {
    const may = mayBe("administrator");
    const text = h("textarea", { name: "text", rows: "16", required: true, spellcheck: "false", class: "mono", readonly: !may });
    text.value = JSON.stringify(JSON.parse(rules.text), null, 1);
    const said = h("p", { class: "hidden", role: "status" });
    const onsubmit = async (/** @type {Event} */ event) => {
      event.preventDefault();
      const given = values(/** @type {HTMLFormElement} */ (event.target));
      try {
        await call("POST", this.getAttribute("write") ?? "", { text: text.value, second: given["second"], second_password: given["password"], reason: given["reason"] });
        await this.load();
      } catch (error) {
        said.className = "notice bad";
        said.textContent = error instanceof Error ? error.message : "";
      }
    };
    const field = (/** @type {string} */ name, /** @type {Record<string, unknown>} */ more) => h("label", { class: "grow" }, h("span", {}, t(`ruleset.${name}`)), h("input", { name, required: true, ...more }));
    fill(
      this.body,
      h("p", {}, t(rules.sets.length ? "ruleset.in-force" : "ruleset.shipped", { name: rules.name })),
      rules.sets.length > 0 && h("ul", { class: "small soft" }, ...rules.sets.map((one) => h("li", {}, t("ruleset.set", { version: one.version, day: one.effective, position: one.position })))),
      h(
        "form",
        { class: "stack", onsubmit },
        h("label", {}, h("span", {}, t("ruleset.text")), text),
        may && h("p", { class: "soft small" }, t("ruleset.about")),
        may && h("div", { class: "row align-end" }, field("second", { maxlength: "40", autocapitalize: "none", autocomplete: "off" }), field("password", { type: "password", autocomplete: "off" }), field("reason", { maxlength: "1000" })),
        said,
        may && h("button", { class: "primary" }, t("ruleset.put")),
      ),
    );
  }
}

customElements.define("rule-set-card", RuleSetCard);
