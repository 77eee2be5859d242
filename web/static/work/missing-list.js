// What is missing, step by step, while the container is still open; each line goes to where it is mended.
import { fill, h } from "../dom.js";
import { t } from "../words.js";
import { completenessMeter } from "./completeness-meter.js";
import { named, sayMissing } from "./saying.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./task-data.js").TaskView} TaskView */

export class MissingList extends HTMLElement {
  /** @param {Phone} [phone] @param {TaskView} [view] */
  constructor(phone, view) {
    super();
    this.phone = phone;
    this.view = view;
  }

  connectedCallback() {
    if (this.view) this.refresh(this.view);
  }

  /** @param {TaskView} view */
  refresh(view) {
    const { procedure } = view.detail;
    const steps = procedure.steps.map((step) => ({ step, lacking: view.missing.filter((one) => one.step === step.key) })).filter(({ lacking }) => lacking.length);
    fill(
      this,
      h("div", { class: "row work-meter" }, completenessMeter(view.have, view.want), h("div", { class: "grow" }, h("h2", {}, t("work.missing-title")), h("p", {}, view.missing.length ? t("work.meter", { have: view.have, want: view.want }) : t("work.nothing-missing")))),
      ...steps.map(({ step, lacking }) =>
        h(
          "section",
          { "data-step": step.key },
          h("h2", {}, named(step), " ", h("span", { class: "badge bad" }, String(lacking.length))),
          h("ul", { class: "work-list" }, ...lacking.slice(0, 300).map((one) => sayMissing(procedure, one)).map(({ name, why, href }) => h("li", {}, h("a", { class: "work-line", href }, h("span", { class: "grow" }, name), h("span", { class: "small bad" }, why))))),
        ),
      ),
      h("p", { class: "soft small" }, t("work.missing-about")),
    );
  }
}

customElements.define("missing-list", MissingList);
