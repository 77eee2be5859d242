// Where a role begins: what waits for them, and for a newcomer what to do next, in order.
import { call, whoami } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { t } from "./words.js";

/** @typedef {{counts: Record<string, number>, begun: Record<string, boolean>}} Badges */

/** What may wait for whom, the most pressing first: the count's name, where one does something about it. @type {Record<string, [string, string][]>} */
const WAITING = {
  supervisor: [["alarms", "/alarms"], ["dispatch", "/tasks"], ["evaluate", "/tasks"], ["release", "/tasks"], ["looks", "/looks"]],
  administrator: [["alarms", "/alarms"]],
  inspector: [["tasks", "/work"], ["instructions", "/work"], ["looks", "/looks"]],
};
/** What a house needs before it works, in order: its name, who sees to it, where. @type {[string, string, string][]} */
const STEPS = [
  ["boxes", "administrator", "/devices"],
  ["people", "administrator", "/people"],
  ["policy", "administrator", "/draws"],
  ["task", "supervisor", "/tasks"],
];

export class StartPage extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.waiting = h("section", { class: "card stack", "aria-live": "polite" }, h("p", { class: "pulse" }, t("app.loading")));
    this.begin = h("section", { class: "card stack hidden" });
  }

  connectedCallback() {
    const person = whoami();
    const hello = h("div", { class: "page-head" }, h("h1", {}, t("start.title", { name: person?.name ?? "" })));
    fill(this, hello, h("div", { class: "stack" }, this.waiting, this.begin, h("section", { class: "card" }, h("h2", {}, t("start.role")), h("p", {}, t(`start.role-${person?.role ?? "inspector"}`)))));
    this.stop = whenChanged([], () => this.refresh(), 2000);
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  async refresh() {
    try {
      this.draw(/** @type {Badges} */ (await call("GET", "badges")));
    } catch (error) {
      fill(this.waiting, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Badges} badges */
  draw(badges) {
    const role = whoami()?.role ?? "inspector";
    const rows = (WAITING[role] ?? []).filter(([name]) => (badges.counts[name] ?? 0) > 0);
    const [first] = rows;
    fill(
      this.waiting,
      h("h2", {}, t("start.waiting")),
      rows.length === 0 && h("p", {}, t("start.nothing")),
      ...rows.map((row) => h("a", { class: `button waiting${row === first ? " primary" : ""}`, href: row[1] }, h("strong", {}, String(badges.counts[row[0]])), t(`start.${row[0]}`))),
    );
    const missing = STEPS.filter(([name]) => badges.begun[name] === false);
    this.begin.classList.toggle("hidden", missing.length === 0);
    const items = STEPS.filter(([name]) => name in badges.begun).map(([name, who, where]) => {
      const done = badges.begun[name] === true;
      const words = t(`start.step-${name}`);
      return h("li", { class: "row" }, h("span", { class: `badge ${done ? "good" : "wait"}` }, h("i"), t(done ? "start.done" : "start.to-do")), !done && who === role ? h("a", { href: where }, words) : h("span", { class: "grow" }, words, !done && who !== role && h("span", { class: "soft" }, ` · ${t(`role.${who}`)}`)));
    });
    fill(this.begin, h("h2", {}, t("start.first-steps")), h("ol", { class: "stack steps" }, ...items));
  }
}

customElements.define("start-page", StartPage);
