// One question a screen, or a section as a list, as one likes. What was answered but not yet signed is kept as a draft at every touch;
// "record" signs the drafts as one act. The page may be left at any moment.
import { fill, h } from "../dom.js";
import { t } from "../words.js";
import { doAct } from "./acts.js";
import { asked, faultOf, instances, placeOf } from "./answers.js";
import { itemsOf } from "./procedure.js";
import { QuestionCard } from "./question-card.js";
import { addressOf, named } from "./saying.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./task-data.js").TaskView} TaskView */
/** @typedef {import("./answers.js").Question} Question */
/** @typedef {import("./store.js").Draft} Draft */

const PAGE = 60; // questions of a list at a time: a form may have ten thousand

export class QuestionPage extends HTMLElement {
  /** @param {Phone} [phone] @param {TaskView} [view] @param {{single: boolean, key: string, at: string}} [asks] */
  constructor(phone, view, asks = { single: true, key: "", at: "" }) {
    super();
    this.phone = phone;
    this.view = view;
    this.asks = asks;
    /** @type {Map<string, QuestionCard>} */
    this.cards = new Map();
    this.failure = h("p", { class: "notice bad hidden", role: "alert" });
    this.head = h("div", { class: "work-crumb" });
    this.list = h("div", { class: "stack" });
    this.most = PAGE;
    this.more = h("button", { class: "grow hidden", onclick: () => this.showMore() }, t("work.show-more"));
    this.signing = false;
    // these stay: one that is drawn anew under a finger takes the touch with it
    this.button = h("button", { class: "primary grow", id: "record", onclick: () => void this.record() });
    this.earlier = h("a", { "aria-label": t("work.before") }, "‹");
    this.onward = h("a", { "aria-label": t("work.after") }, "›");
    this.acts = h("div", { class: "work-record" }, asks.single && this.earlier, this.button, asks.single && this.onward);
  }

  connectedCallback() {
    fill(this, this.head, this.list, this.more, this.failure, this.acts);
    if (this.view) this.refresh(this.view);
    if (this.asks.single) this.cards.values().next().value?.activate();
  }

  disconnectedCallback() {
    for (const card of this.cards.values()) card.rest();
  }

  /** @param {TaskView} view */
  refresh(view) {
    this.view = view;
    const all = asked(view.detail.procedure, view.stands, view.detail.parts);
    const every = this.mine(view, all);
    const mine = every.slice(0, this.most);
    this.more.classList.toggle("hidden", every.length <= this.most);
    const keep = new Set(mine.map(({ item }) => item.key));
    for (const [key, card] of this.cards) {
      if (keep.has(key)) continue;
      card.remove();
      this.cards.delete(key);
    }
    mine.forEach((question, at) => this.place(question, at, view));
    this.drawHead(view, mine);
    this.drawActs(view, all);
  }

  /** The questions of this page; one that is shown stays while it is open, also if it is no longer asked. @param {TaskView} view @param {Question[]} all @returns {Question[]} */
  mine(view, all) {
    const { single, key, at } = this.asks;
    if (!single) {
      const section = view.detail.procedure.sections.find((one) => one.key === key);
      if (section && at && !instances(section, view.stands, view.detail.parts).includes(at)) return this.fresh(section, at, all);
      return all.filter((one) => one.section.key === key && one.at === at);
    }
    const found = itemsOf(view.detail.procedure).get(key);
    return found ? [{ ...found, at }] : [];
  }

  showMore() {
    this.most += PAGE;
    if (this.view) this.refresh(this.view);
  }

  /** A part that nothing is known of yet: all that hangs on no answer of its own. @param {import("./procedure.js").Section} section @param {string} at @param {Question[]} all @returns {Question[]} */
  fresh(section, at, all) {
    const once = new Set(all.filter((one) => one.section === section).map((one) => one.item.key));
    return section.items.filter((item) => item.when === undefined || once.has(item.key)).map((item) => ({ section, item, at }));
  }

  /** @param {Question} question @param {number} at @param {TaskView} view */
  place(question, at, view) {
    let card = this.cards.get(question.item.key);
    if (!card) {
      card = new QuestionCard(/** @type {Phone} */ (this.phone), question);
      card.addEventListener("drafted", () => this.drawActs(/** @type {TaskView} */ (this.view), []));
      this.cards.set(question.item.key, card);
    }
    if (this.list.children[at] !== card) this.list.insertBefore(card, this.list.children[at] ?? null);
    card.refresh(view);
  }

  /** @param {TaskView} view @param {Question[]} mine */
  drawHead(view, mine) {
    const section = mine[0]?.section ?? view.detail.procedure.sections.find((one) => one.key === this.asks.key);
    const { at, single } = this.asks;
    const other = section && (single ? addressOf("s", section.key, at) : mine[0] && addressOf("i", mine[0].item.key, at));
    fill(this.head, h("h2", { class: "grow" }, section ? named(section) : "", at && h("span", { class: "mono" }, ` ${at}`)), other && h("a", { class: "button", href: other }, t(single ? "work.as-list" : "work.one-by-one")));
  }

  /** @param {TaskView} view @param {Question[]} all */
  drawActs(view, all) {
    const drafts = this.drafts(view);
    this.button.disabled = !drafts.length;
    this.button.textContent = drafts.length > 1 || !this.asks.single ? t("work.record", { count: drafts.length }) : t("work.record-one");
    if (!this.asks.single) return;
    const order = all.length ? all : asked(view.detail.procedure, view.stands, view.detail.parts);
    const here = order.findIndex(({ item, at }) => item.key === this.asks.key && at === this.asks.at);
    lead(this.earlier, here > 0 ? order[here - 1] : undefined);
    lead(this.onward, here >= 0 ? order[here + 1] : undefined);
  }

  /** @param {TaskView} view @returns {Draft[]} */
  drafts(view) {
    return [...this.cards.values()].map((card) => card.draft ?? view.drafts.get(placeOf(card.question.item.key, card.question.at))).filter((draft) => draft !== undefined && draft !== null);
  }

  /** Sign what was answered here, once however often it is touched meanwhile. */
  async record() {
    if (this.signing) return;
    this.signing = true;
    await this.sign().finally(() => (this.signing = false));
  }

  /** What does not answer its question yet stays a draft, and is said. */
  async sign() {
    const view = /** @type {TaskView} */ (this.view);
    const phone = /** @type {Phone} */ (this.phone);
    for (const card of this.cards.values()) await card.settle();
    const items = itemsOf(view.detail.procedure);
    const checked = this.drafts(view).map((draft) => ({ draft, fault: this.faultOf(draft, items) }));
    const [good, bad] = [checked.filter(({ fault }) => !fault), checked.filter(({ fault }) => fault)];
    for (const { draft, fault } of bad) this.cards.get(draft.item)?.complain(fault ?? "");
    this.failure.classList.toggle("hidden", !bad.length);
    this.failure.textContent = bad.length ? t("work.not-recorded", { count: bad.length }) : "";
    if (!good.length) return;
    const answers = good.map(({ draft }) => ({ item: draft.item, at: draft.at, value: draft.value, dwell_ms: Math.round(draft.dwell_ms), phone_ms: draft.phone_ms, replaces: draft.replaces, ...(draft.reason ? { reason: draft.reason } : {}) }));
    await doAct(phone.store, { task: view.kept.task, procedure: view.detail.procedure_sha256, kind: "answers", payload: { answers } }, ["drafts"], (of) => {
      for (const { draft } of good) of("drafts").delete(draft.key);
    });
    for (const { draft } of good) this.cards.get(draft.item)?.recorded();
    navigator.vibrate?.(60);
    if (this.asks.single && !bad.length && this.isConnected) this.goOn(); // whoever went elsewhere meanwhile stays there
  }

  /** @param {Draft} draft @param {Map<string, {item: import("./procedure.js").Item}>} items */
  faultOf(draft, items) {
    const item = items.get(draft.item)?.item;
    const fault = item ? faultOf(item, draft.value) : "choice";
    if (fault) return t(`work.fault-${fault}`);
    return draft.replaces.length && !draft.reason.trim() ? t("work.fault-reason") : null;
  }

  /** To the next question that is asked. */
  goOn() {
    location.hash = this.onward.classList.contains("off") ? "#list" : new URL(this.onward.href).hash;
  }
}

/** @param {HTMLAnchorElement} link @param {Question | undefined} to */
function lead(link, to) {
  link.className = `button ${to ? "" : "off"}`;
  link.href = to ? addressOf("i", to.item.key, to.at) : "#list";
}

customElements.define("question-page", QuestionPage);
