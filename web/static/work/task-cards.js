// Today's tasks, sorted by where they stand: what runs first, then what waits, then what is done; each with its meter.
import { fill, h } from "../dom.js";
import { clock, t, known } from "../words.js";
import { completenessMeter } from "./completeness-meter.js";
import { titleOf } from "./saying.js";
import { viewTask } from "./task-data.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./store.js").KeptTask} KeptTask */

const ORDER = ["paused", "inspecting", "paired", "positioned", "dispatched", "sampled", "lab-pending", "treatment"];

export class TaskCards extends HTMLElement {
  /** @param {Phone} [phone] */
  constructor(phone) {
    super();
    this.phone = phone;
    this.ending = new AbortController();
  }

  connectedCallback() {
    const { signal } = (this.ending = new AbortController());
    this.phone?.store.addEventListener("changed", () => void this.draw(), { signal });
    this.phone?.outbox.addEventListener("line", () => void this.draw(), { signal });
    void this.draw();
  }

  disconnectedCallback() {
    this.ending.abort();
  }

  async draw() {
    if (!this.phone) return;
    const { store, outbox } = this.phone;
    const [tasks, listed] = await Promise.all([store.all("tasks"), store.get("facts", "listed_ms")]);
    const views = await Promise.all(tasks.map((/** @type {KeptTask} */ task) => viewTask(store, task.task)));
    const shown = tasks.map((/** @type {KeptTask} */ task, /** @type {number} */ at) => ({ task, view: views[at] ?? null })).sort((one, other) => placeOf(one.task) - placeOf(other.task) || other.task.entry.changed_ms - one.task.entry.changed_ms);
    fill(
      this,
      h("div", { class: "page-head" }, h("h1", { class: "grow" }, t("work.title")), listed && h("span", { class: "soft small" }, t("work.as-of", { time: clock(listed) }))),
      !tasks.length && this.empty(Boolean(listed), outbox.line),
      h("ul", { class: "work-cards" }, ...shown.map(({ task, view }) => h("li", {}, card(task, view)))),
    );
  }

  /** @param {boolean} asked @param {string} line */
  empty(asked, line) {
    if (asked) return h("p", { class: "empty" }, t("work.no-tasks"));
    return h("p", { class: "empty" }, line === "online" || line === "unreachable" ? t("app.loading") : t("work.never-fetched"));
  }
}

/** @param {KeptTask} task */
function placeOf(task) {
  const at = ORDER.indexOf(task.detail?.paused ? "paused" : task.entry.declaration_state);
  return task.listed ? (at < 0 ? ORDER.length : at) : ORDER.length + 1;
}

/** @param {KeptTask} task @param {import("./task-data.js").TaskView | null} view */
function card(task, view) {
  const { entry } = task;
  const { have, want } = view ?? entry;
  const drafts = view?.drafts.size ?? 0;
  return h(
    "a",
    { class: "card work-card", href: `/work/${encodeURIComponent(task.task)}`, "data-task": task.task },
    completenessMeter(have, want),
    h(
      "div",
      { class: "grow" },
      h("strong", {}, titleOf(task)),
      h("div", { class: "soft small" }, [entry.bay, entry.declaration].filter(Boolean).join(" · ")),
      h(
        "div",
        { class: "row small" },
        h("span", { class: `badge ${task.listed ? "wait" : "off"}` }, h("i"), task.listed ? known("work.state", task.detail?.paused ? "paused" : entry.declaration_state) : t("work.ended")),
        entry.role && h("span", { class: "badge off" }, t(`work.role-${entry.role}`)),
        drafts > 0 && h("span", { class: "badge warn" }, t("work.drafts", { count: drafts })),
        view && view.conflicts > 0 && h("span", { class: "badge bad" }, t("work.conflicts", { count: view.conflicts })),
      ),
    ),
  );
}

customElements.define("task-cards", TaskCards);
