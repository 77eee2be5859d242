// The checklist's menu: basic facts first and always, then each step with its sections and how far they are; parts can be added; the act
// that the rest conforms lists what it covers before it is signed.
import { confirmAct } from "../confirming.js";
import { fill, h } from "../dom.js";
import { known, t } from "../words.js";
import { doAct } from "./acts.js";
import { asked, inConflict, instances, isFailing, isPart, placeOf, rest } from "./answers.js";
import { scanCode } from "./code-scanner.js";
import { itemsOf } from "./procedure.js";
import { addressOf, named, sayMissing, sayValue } from "./saying.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./task-data.js").TaskView} TaskView */
/** @typedef {import("./answers.js").Question} Question */
/** @typedef {import("./procedure.js").Section} Section */
/** @typedef {import("./procedure.js").Step} Step */

export class ChecklistMenu extends HTMLElement {
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
    this.view = view;
    const { procedure } = view.detail;
    const questions = asked(procedure, view.stands, view.detail.parts);
    const open = questions.find(({ item, at }) => item.required && !view.stands.has(placeOf(item.key, at)));
    const uncovered = rest(procedure, view.stands, view.detail.parts).filter(({ item, at }) => !view.drafts.has(placeOf(item.key, at)));
    const basics = procedure.sections.filter((section) => section.basic);
    fill(
      this,
      h("div", { class: "row" }, open && h("a", { class: "button primary grow", href: addressOf("i", open.item.key, open.at), id: "next-open" }, t("work.next-open")), h("button", { onclick: () => void this.find() }, t("work.scan-find"))),
      basics.length > 0 && h("section", {}, h("h2", {}, t("work.basics")), h("ul", { class: "work-list" }, ...basics.flatMap((section) => this.lines(section, questions)))),
      ...procedure.steps.map((step) => this.step(step, questions)),
      uncovered.length > 0 && h("button", { class: "work-rest", id: "rest", onclick: () => void this.conform(uncovered) }, t("work.rest", { count: uncovered.length })),
      !procedure.verified && h("p", { class: "soft small" }, t("work.procedure-unverified", { key: procedure.key, version: procedure.version })),
    );
  }

  /** @param {Step} step @param {Question[]} questions */
  step(step, questions) {
    const sections = this.view?.detail.procedure.sections.filter((section) => section.step === step.key && !section.basic) ?? [];
    const state = stepState(this.view, step.key);
    const lacking = this.view?.missing.filter((one) => one.step === step.key) ?? [];
    const begin = h("button", { onclick: () => void this.mark(step, "start") }, t("work.step-start", { what: named(step.starts) }));
    const end = h("button", { onclick: () => void this.mark(step, "end") }, t("work.step-end", { what: named(step.ends) }));
    return h(
      "section",
      { "data-step": step.key },
      h("h2", { class: "row" }, h("span", { class: "grow" }, named(step)), state && h("span", { class: `badge ${state === "start" ? "wait" : "good"}` }, t(`work.step-is-${state}`)), lacking.length > 0 && h("a", { class: "badge bad", href: "#missing" }, t("work.lacking", { count: lacking.length }))),
      h("ul", { class: "work-list" }, ...sections.flatMap((section) => this.lines(section, questions))),
      h("div", { class: "row" }, state === "" && begin, state === "start" && end),
    );
  }

  /** A section's lines: one for each part. @param {Section} section @param {Question[]} questions */
  lines(section, questions) {
    const view = /** @type {TaskView} */ (this.view);
    const found = instances(section, view.stands, view.detail.parts).map((at) => {
      const mine = questions.filter((one) => one.section === section && one.at === at);
      const given = mine.filter(({ item }) => view.stands.has(placeOf(item.key, at)));
      const fails = given.filter(({ item }) => view.stands.get(placeOf(item.key, at))?.some((answer) => isFailing(view.detail.procedure, answer))).length;
      const apart = given.filter(({ item }) => inConflict(view.stands.get(placeOf(item.key, at)) ?? [])).length;
      const drafts = mine.filter(({ item }) => view.drafts.has(placeOf(item.key, at))).length;
      const done = given.length === mine.length;
      return h(
        "li",
        {},
        h(
          "a",
          { class: "work-line", href: addressOf("s", section.key, at), "data-section": section.key },
          h("span", { class: "grow" }, named(section), at && h("span", { class: "mono" }, ` ${at}`)),
          drafts > 0 && h("span", { class: "badge warn" }, t("work.drafts", { count: drafts })),
          fails > 0 && h("span", { class: "badge bad" }, t("work.findings", { count: fails })),
          apart > 0 && h("span", { class: "badge bad" }, t("work.conflicts", { count: apart })),
          h("span", { class: `badge ${done ? "good" : "off"}` }, `${done ? "✓ " : ""}${given.length}/${mine.length}`),
        ),
      );
    });
    const add = section.per && found.length < (section.most ?? 1) && h("li", {}, h("button", { class: "work-line", onclick: () => void this.add(section) }, t("work.add-part", { per: known("work.per", section.per), section: named(section) })));
    return add ? [...found, add] : found;
  }

  /** @param {Section} section */
  async add(section) {
    const at = await scanCode(t("work.add-part", { per: known("work.per", section.per ?? ""), section: named(section) }), (text) => (isPart(text) ? null : t("work.bad-part")));
    if (at) location.hash = addressOf("s", section.key, at);
  }

  /** Scan or type what is before me, and go to where it is asked about. */
  async find() {
    const view = /** @type {TaskView} */ (this.view);
    const wanted = await scanCode(t("work.scan-find"), (text) => (findPlace(view, text) ? null : t("work.not-found", { text })));
    const place = wanted && findPlace(view, wanted);
    if (place) location.hash = place;
  }

  /** @param {Question[]} uncovered */
  async conform(uncovered) {
    const view = /** @type {TaskView} */ (this.view);
    const phone_ms = Date.now();
    const answers = uncovered.map(({ item, at }) => ({ item: item.key, at, value: item.options?.find((option) => option.conforms)?.key, dwell_ms: 0, phone_ms }));
    const list = h("ol", { class: "work-covered" }, ...uncovered.map(({ item, at }) => h("li", {}, [named(item), at].filter(Boolean).join(" · "), "：", h("strong", {}, sayValue(item, item.options?.find((option) => option.conforms)?.key)))));
    if (!(await confirmAct(t("work.rest", { count: answers.length }), t("work.rest-effect", { count: answers.length }), list))) return;
    await doAct(/** @type {Phone} */ (this.phone).store, { task: view.kept.task, procedure: view.detail.procedure_sha256, kind: "rest", payload: { answers } });
  }

  /** @param {Step} step @param {"start" | "end"} event */
  async mark(step, event) {
    const view = /** @type {TaskView} */ (this.view);
    const lacking = event === "end" ? view.missing.filter((one) => one.step === step.key && one.reason !== "file not at the hub") : [];
    const list = lacking.length ? h("ul", { class: "work-covered" }, ...lacking.slice(0, 30).map((one) => sayMissing(view.detail.procedure, one)).map(({ name, why }) => h("li", { class: "bad" }, `✕ ${name}：${why}`))) : null;
    const title = event === "start" ? t("work.step-start", { what: named(step.starts) }) : t("work.step-end", { what: named(step.ends) });
    if (!(await confirmAct(title, lacking.length ? t("work.step-end-lacking", { count: lacking.length }) : t("work.step-effect"), list))) return;
    await doAct(/** @type {Phone} */ (this.phone).store, { task: view.kept.task, procedure: view.detail.procedure_sha256, kind: "step", payload: { step: step.key, event } });
  }
}

/** Give the last event of a step: "", "start" or "end". @param {TaskView | undefined} view @param {string} step */
export function stepState(view, step) {
  const marks = (view?.acts ?? []).filter((act) => act.kind === "step" && act.state !== "refused").map((act) => JSON.parse(act.text).payload).filter((payload) => payload.step === step);
  return marks[marks.length - 1]?.event ?? "";
}

/** @param {TaskView} view @param {string} text */
function findPlace(view, text) {
  const wanted = text.trim().toUpperCase();
  const { procedure, parts } = view.detail;
  for (const section of procedure.sections) {
    const at = instances(section, view.stands, parts).find((one) => one.toUpperCase() === wanted);
    if (at) return addressOf("s", section.key, at);
  }
  for (const [item] of itemsOf(procedure)) if (item.toUpperCase() === wanted) return addressOf("i", item, "");
  const answer = view.answers.find((one) => typeof one.value === "string" && one.value.toUpperCase() === wanted);
  return answer ? addressOf("i", answer.item, answer.at) : "";
}

customElements.define("checklist-menu", ChecklistMenu);
