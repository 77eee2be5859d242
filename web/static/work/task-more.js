// All else of a task: the supervisor's instructions, recorders, pause and resume, hand-over, notes, what was declared, what was done here.
import { call, part } from "../api.js";
import { confirmAct, sayNo } from "../confirming.js";
import { component, fill, h } from "../dom.js";
import { LiveTile } from "../live-tile.js";
import { clock, known, moment, t } from "../words.js";
import { doAct, payloadOf } from "./acts.js";
import { showTicket } from "./pairing-ticket.js";
import { scanCode } from "./code-scanner.js";
import { askWords } from "./asking.js";
import { isPaused, isSeen } from "./task-data.js";
import { actTicks } from "./upload-ticks.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./task-data.js").TaskView} TaskView */
/** @typedef {import("./store.js").Pairing} Pairing */
/** @typedef {import("./store.js").Instruction} Instruction */

const PAUSES = ["technical", "battery", "storage", "safety", "weather", "private"];
const STREAM = /^[A-Za-z0-9._-]+\/[A-Za-z0-9._-]+$/;

export class TaskMore extends HTMLElement {
  /** @param {Phone} [phone] @param {TaskView} [view] */
  constructor(phone, view) {
    super();
    this.phone = phone;
    this.view = view;
    this.live = h("div", { class: "stack" });
    this.shownLive = "";
    this.parts = ["instructions", "recorders", "acts", "declared", "done"].map((name) => h("section", { class: "card stack", "data-part": name }));
  }

  connectedCallback() {
    fill(this, ...this.parts);
    if (this.view) this.refresh(this.view);
  }

  disconnectedCallback() {
    this.shownLive = "";
    fill(this.live);
  }

  /** @param {TaskView} view */
  refresh(view) {
    this.view = view;
    const [instructions, recorders, acts, declared, done] = this.parts;
    if (!instructions || !recorders || !acts || !declared || !done) return;
    fill(instructions, h("h2", {}, t("work.instructions")), ...this.instructions(view));
    this.drawRecorders(recorders, view);
    fill(acts, h("h2", {}, t("work.acts-title")), this.buttons(view));
    fill(declared, h("h2", {}, t("work.declared")), ...declaredParts(view));
    fill(done, h("h2", {}, t("work.done-here")), h("ul", { class: "work-list" }, ...[...view.acts].reverse().slice(0, 100).map((act) => h("li", { class: "row" }, h("span", { class: "grow" }, known("work.act", act.kind), h("span", { class: "soft small" }, ` ${clock(act.made_ms)} · ${act.by} · ${sayPayload(act)}`)), actTicks(act)))));
  }

  /** @param {TaskView} view */
  instructions(view) {
    const all = view.detail.instructions ?? [];
    if (!all.length) return [h("p", { class: "soft" }, t("work.no-instructions"))];
    return all.map((one) => h("div", { class: `notice ${isSeen(one) ? "" : "bad"}` }, h("p", {}, one.text ?? ""), h("div", { class: "row" }, h("span", { class: "soft small grow" }, `${one.by ?? ""} · ${moment(one.at_ms)}`), isSeen(one) ? h("span", { class: "badge good" }, t("work.instruction-seen")) : h("button", { class: "primary", onclick: () => void this.acknowledge(one) }, t("work.instruction-see")))));
  }

  /** @param {Instruction} one */
  async acknowledge(one) {
    await this.tell(() => call("POST", `tasks/${part(this.view?.kept.task ?? "")}/instructions/${one.position}/acknowledge`));
  }

  /** @param {() => Promise<unknown>} act */
  async tell(act) {
    try {
      await act();
      this.phone?.outbox.kick();
    } catch (error) {
      sayNo(t("work.needs-network"), error instanceof Error && error.name !== "TypeError" ? error : new Error(t("app.unreachable")));
    }
  }

  /** @param {HTMLElement} place @param {TaskView} view */
  drawRecorders(place, view) {
    const paired = view.detail.pairings.filter((one) => one.state === "paired" || one.state === "pending");
    const task = view.kept.task;
    const shown = paired.filter((one) => one.state === "paired").map((one) => one.stream);
    if (JSON.stringify(shown) !== this.shownLive) {
      if (shown.length && this.shownLive) navigator.vibrate?.(200);
      this.shownLive = JSON.stringify(shown);
      fill(this.live, ...shown.map((stream) => component(LiveTile, { stream })));
    }
    fill(
      place,
      h("h2", {}, t("work.recorders")),
      !paired.length && h("p", { class: "bad" }, t("work.recorder-none")),
      h("ul", { class: "work-list" }, ...paired.map((one) => h("li", { class: "row" }, h("span", { class: "grow mono" }, one.stream), h("span", { class: `badge ${one.state === "paired" ? "good" : "wait"}` }, known("bond", one.state)), one.state === "paired" && h("button", { onclick: () => void this.swap(one) }, t("work.swap"))))),
      this.live,
      h("div", { class: "work-buttons" }, h("button", { class: "primary", onclick: () => void this.pair() }, t("work.pair-scan")), h("button", { onclick: () => void this.tell(() => showTicket(task)) }, t("work.pair-show")), h("a", { class: "button", href: `/pair/${part(task)}` }, t("work.pair-choose"))),
    );
  }

  /** Scan or type the recorder's code: box and name. */
  async pair() {
    const stream = await this.recorder(t("work.pair-scan"));
    if (stream) await this.tell(() => call("POST", `tasks/${part(this.view?.kept.task ?? "")}/pairings`, { stream }));
  }

  /** @param {string} title */
  async recorder(title) {
    const found = await scanCode(title, (text) => (STREAM.test(streamOf(text)) ? null : t("work.bad-recorder")));
    return found === null ? null : streamOf(found);
  }

  /** A recorder that is dead or changed: said by an act, so that the break has its reason; then the new one is paired. @param {Pairing} one */
  async swap(one) {
    const reason = await askWords(t("work.swap"), t("work.swap-effect", { stream: one.stream }), t("work.reason"));
    if (!reason) return;
    const to = await this.recorder(t("work.swap-to"));
    if (!to) return;
    await this.act("swap", { from: one.stream, to, reason });
    await this.tell(() => call("POST", `tasks/${part(this.view?.kept.task ?? "")}/pairings`, { stream: to }));
  }

  /** @param {TaskView} view */
  buttons(view) {
    const paused = isPaused(view);
    return h(
      "div",
      { class: "work-buttons" },
      paused ? h("button", { class: "primary", onclick: () => void this.resume() }, t("work.resume")) : h("button", { onclick: () => void this.pause() }, t("work.pause")),
      h("button", { onclick: () => void this.note() }, t("work.note")),
      h("button", { class: "danger", onclick: () => void this.handOver() }, t("work.hand-over")),
    );
  }

  async pause() {
    const reason = await askWords(t("work.pause"), t("work.pause-effect"), t("work.reason"), PAUSES.map((one) => t(`work.pause-${one}`)));
    if (reason) await this.act("pause", { reason });
  }

  async resume() {
    if (await confirmAct(t("work.resume"), t("work.resume-effect"))) await this.act("resume", {});
  }

  async note() {
    const text = await askWords(t("work.note"), t("work.note-effect"), t("work.note-text"));
    if (text) await this.act("note", { text });
  }

  async handOver() {
    const to = await askWords(t("work.hand-over"), t("work.hand-over-effect"), t("work.hand-over-to"));
    if (!to) return;
    const reason = await askWords(t("work.hand-over"), t("work.hand-over-why", { to }), t("work.reason"));
    if (reason) await this.act("hand-over", { to, reason });
  }

  /** @param {string} kind @param {Record<string, unknown>} payload */
  async act(kind, payload) {
    const { phone, view } = this;
    if (phone && view) await doAct(phone.store, { task: view.kept.task, procedure: view.detail.procedure_sha256, kind, payload });
  }
}

/** A recorder's code: "box/source", alone or at the end of an address. @param {string} text */
function streamOf(text) {
  return text.trim().replace(/^portwitness:(recorder:)?/i, "").split("/").filter(Boolean).slice(-2).join("/");
}

/** @param {import("./store.js").KeptAct} act */
function sayPayload(act) {
  const payload = payloadOf(act);
  if (payload.answers) return t("work.answers-count", { count: payload.answers.length });
  return [payload.text, payload.role && t(`work.role-${payload.role}`), payload.step, payload.event && t(`work.event-${payload.event}`), payload.to, payload.reason ?? payload.refused].filter(Boolean).join(" · ");
}

/** @param {TaskView} view */
function declaredParts(view) {
  const { declaration, parts, open } = view.detail;
  const rows = Object.entries(declaration ?? {}).flatMap(([name, value]) => flat(name, value));
  return [
    h("dl", {}, ...rows.slice(0, 120).flatMap(([name, value]) => [h("dt", {}, known("work.field", name)), h("dd", {}, value)])),
    Object.keys(parts ?? {}).length > 0 && h("p", { class: "small" }, ...Object.entries(parts).map(([per, names]) => `${known("work.per", per)}：${names.join(" ")} `)),
    open.length > 0 && h("p", { class: "notice" }, h("strong", {}, t("work.to-open")), " ", open.map((one) => [one.container, one.packages.join(", ")].filter(Boolean).join(": ")).join("; ")),
  ].filter((one) => one !== false);
}

/** @param {string} name @param {unknown} value @returns {[string, string][]} */
function flat(name, value) {
  if (value === null || value === undefined || value === "") return [];
  if (Array.isArray(value)) return value.every((one) => typeof one !== "object") ? [[name, value.join(", ")]] : value.flatMap((one) => flat(name, one));
  if (typeof value === "object") return [[name, Object.values(value).filter((one) => typeof one !== "object" && one !== "").join(" · ")]];
  return [[name, String(value)]];
}

customElements.define("task-more", TaskMore);
