// A task on the phone: its heading, and the view that the address names. What changes meanwhile - this phone's acts, another's, the hub's
// receipts - is taken over without touching what somebody is typing.
import { fill, h } from "../dom.js";
import { clock, known, t } from "../words.js";
import { ChecklistMenu } from "./checklist-menu.js";
import { addressOf, titleOf } from "./saying.js";
import { isPaused, isSeen, viewTask } from "./task-data.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./task-data.js").TaskView} TaskView */
/** @typedef {HTMLElement & {refresh: (view: TaskView) => void}} Part */

const OTHERS = ["i", "s", "missing", "files", "sign", "more"];

export class TaskDesk extends HTMLElement {
  /** @param {Phone} [phone] @param {string} [task] */
  constructor(phone, task = "") {
    super();
    this.phone = phone;
    this.task = task;
    this.head = h("div", { class: "work-head" });
    this.body = h("div", {});
    /** @type {TaskView | null} */
    this.view = null;
    /** @type {Part | null} */
    this.shown = null;
    this.drawn = 0;
    this.address = "";
    this.ending = new AbortController();
  }

  connectedCallback() {
    const { signal } = (this.ending = new AbortController());
    fill(this, this.head, this.body);
    fill(this.body, h("p", { class: "empty pulse" }, t("app.loading")));
    if (this.phone) {
      this.phone.outbox.open = this.task;
      this.phone.outbox.kick();
      this.phone.store.addEventListener("changed", () => void this.renew(), { signal });
    }
    void this.renew();
  }

  disconnectedCallback() {
    this.ending.abort();
    if (this.phone?.outbox.open === this.task) this.phone.outbox.open = "";
  }

  /** Read what the phone keeps, and show it; the newest reading wins. */
  async renew() {
    if (!this.phone) return;
    const turn = (this.drawn += 1);
    const view = await viewTask(this.phone.store, this.task);
    if (turn !== this.drawn || !this.isConnected) return;
    const first = !this.view;
    this.view = view;
    if (!view) this.shown = null; // it left the phone; should it come back, it is drawn anew
    if (!view) return fill(this.body, h("p", { class: "empty" }, t("work.task-not-here")), h("a", { class: "button primary", href: "/work" }, t("work.door-tasks")));
    this.drawHead(view);
    if (first) this.route();
    else this.shown?.refresh(view);
  }

  /** Show what the address names. */
  route() {
    if (!this.view || (this.shown && this.address === location.hash)) return; // one step tells itself twice
    if (this.shown) scrollTo(0, 0);
    const address = (this.address = location.hash);
    const [name = "", ...rest] = address.slice(1).split("/").map(decodeURIComponent);
    if (!OTHERS.includes(name)) return this.put(new ChecklistMenu(/** @type {Phone} */ (this.phone), this.view));
    const later = import("./other-views.js").then((views) => {
      if (this.view && this.isConnected && this.address === address) this.put(partFor(views, /** @type {Phone} */ (this.phone), this.view, name, rest));
    });
    later.catch(() => {
      if (this.address !== address) return;
      this.shown = null;
      fill(this.body, h("p", { class: "empty" }, t("work.view-not-here")), again());
    });
  }

  /** @param {Part} part */
  put(part) {
    this.shown = part;
    fill(this.body, part);
  }

  /** @param {TaskView} view */
  drawHead(view) {
    const { entry, fetched_ms } = view.kept;
    const unread = view.detail.instructions.filter((one) => !isSeen(one)).length;
    const basics = view.detail.procedure.sections.find((section) => section.basic && !section.per); // one tap away, always
    const about = [known("work.state", entry.declaration_state), entry.bay, t("work.as-of", { time: clock(fetched_ms) })].filter(Boolean).join(" · ");
    fill(
      this.head,
      h(
        "div",
        { class: "row" },
        h("a", { class: "button quiet", href: "/work", "aria-label": t("work.back") }, "‹"),
        h("div", { class: "grow" }, h("h1", {}, titleOf(view.kept)), h("div", { class: "soft small" }, about)),
        basics && h("a", { class: "button", href: addressOf("s", basics.key, ""), id: "basics" }, t("work.basics-short")),
      ),
      unread > 0 && h("a", { class: "notice bad", href: "#more" }, t("work.instructions-new", { count: unread })),
      isPaused(view) && h("a", { class: "notice", href: "#more" }, t("work.paused")),
    );
  }
}

/** A part of the page that could not be fetched is fetched by a new page alone: browsers keep what failed. */
export function again() {
  return h("button", { onclick: () => navigator.onLine && location.reload() }, t("work.try-again"));
}

/**
 * @param {typeof import("./other-views.js")} views @param {Phone} phone @param {TaskView} view @param {string} name @param {string[]} rest
 * @returns {Part}
 */
function partFor(views, phone, view, name, [one = "", ...at]) {
  if (name === "missing") return new views.MissingList(phone, view);
  if (name === "files") return new views.UnsafeList(phone, view.kept.task);
  if (name === "sign") return new views.SignaturePage(phone, view);
  if (name === "more") return new views.TaskMore(phone, view);
  return new views.QuestionPage(phone, view, { single: name === "i", key: one, at: at.join("/") });
}

customElements.define("task-desk", TaskDesk);
