// How long a task's video is kept: its class and legal holds, each decided with a reason that becomes a record.
import { call, mayBe, part } from "./api.js";
import { fill, h } from "./dom.js";
import { known, t } from "./words.js";

/** @typedef {{name: string, days: number | null, source: string}} RetentionClass */
/** @typedef {{task: string, kept_as: string, held: boolean, classes: RetentionClass[]}} Kept */

export class TaskKeeping extends HTMLElement {
  constructor() {
    super();
    this.name = "";
    this.body = h("div", { class: "stack" });
  }

  connectedCallback() {
    this.classList.add("card");
    this.style.display = "block";
    fill(this, h("h2", {}, t("keeping.title")), this.body);
  }

  /** @param {import("./task-list.js").Task} task */
  show(task) {
    if (this.name === task.task) return;
    this.name = task.task;
    void this.load();
  }

  async load() {
    try {
      this.draw(await call("GET", `tasks/${part(this.name)}/keeping`));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Kept} kept */
  draw(kept) {
    const found = kept.classes.find((one) => one.name === kept.kept_as);
    const lasting = !found || found.days === null ? t("keeping.forever") : t("keeping.days", { days: found.days });
    fill(
      this.body,
      h("p", {}, `${known("class", kept.kept_as)} · ${lasting} `, kept.held && h("span", { class: "badge warn" }, t("keeping.held"))),
      found?.source && h("p", { class: "soft small" }, known("class-source", kept.kept_as) === kept.kept_as ? found.source : known("class-source", kept.kept_as)),
      mayBe("supervisor", "administrator") && this.form(kept),
    );
  }

  /** @param {Kept} kept */
  form(kept) {
    const reason = h("input", { required: true, maxlength: "400", "aria-label": t("keeping.reason"), placeholder: t("keeping.reason") });
    const choice = h("select", { "aria-label": t("keeping.class") }, ...kept.classes.map((one) => h("option", { value: one.name, selected: one.name === kept.kept_as }, known("class", one.name))));
    const said = h("p", { class: "small", role: "status" });
    const decide = async (/** @type {Record<string, string>} */ what) => {
      if (!reason.reportValidity()) return;
      try {
        this.draw(await call("POST", `tasks/${part(this.name)}/keeping`, { ...what, reason: reason.value }));
      } catch (error) {
        fill(said, error instanceof Error ? error.message : "");
      }
    };
    const hold = kept.held ? { state: "freed" } : { state: "held" };
    return h(
      "form",
      { class: "stack", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      reason,
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => void decide(hold) }, t(kept.held ? "keeping.free" : "keeping.hold")), choice, h("button", { type: "button", class: "quiet", onclick: () => void decide({ state: "classed", kept_as: choice.value }) }, t("keeping.set"))),
      said,
    );
  }
}

customElements.define("task-keeping", TaskKeeping);
