// One question: what it asks, what stands - each answer with who, when and how safe - and the way to answer it. Two answers that differ are
// both shown until somebody corrects them, with a reason. Time that is spent on it is counted while it is before somebody's eyes.
import { fill, h } from "../dom.js";
import { clock, known, t } from "../words.js";
import { doAct } from "./acts.js";
import { AnswerInput } from "./answer-input.js";
import { inConflict, isFailing, placeOf } from "./answers.js";
import { takeButtons } from "./capture.js";
import { FileStrip } from "./file-strip.js";
import { keepFile } from "./files.js";
import { ATTACHED } from "./procedure.js";
import { named, sayLimits, sayValue } from "./saying.js";
import { actTicks } from "./upload-ticks.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./task-data.js").TaskView} TaskView */
/** @typedef {import("./answers.js").Answer} Answer */
/** @typedef {import("./answers.js").Question} Question */
/** @typedef {import("./store.js").Draft} Draft */

/** @type {QuestionCard | null} */
let active = null;

/** Dispatches `drafted`. */
export class QuestionCard extends HTMLElement {
  /** @param {Phone} phone @param {Question} question */
  constructor(phone, question) {
    super();
    this.phone = phone;
    this.question = question;
    /** @type {TaskView | null} */
    this.view = null;
    /** @type {Draft | null} */
    this.draft = null;
    this.correcting = false;
    this.shown = "";
    this.since = 0;
    this.spent = 0;
    this.saving = Promise.resolve();
    /** @type {string[]} */
    this.replaces = [];
    this.asks = h("p", { class: "small bad hidden" }, t("work.finding-photo"));
    this.said = h("div", { class: "stack" });
    this.form = h("div", { class: "stack" });
    this.fault = h("p", { class: "small bad hidden", role: "alert" });
    this.strip = new FileStrip(phone, ATTACHED.has(question.item.type) ? (sha256) => this.dropFile(sha256) : null);
    this.reason = h("textarea", { rows: "2", maxlength: "400", oninput: () => void this.save({ reason: this.reason.value }) });
    this.input = new AnswerInput(question.item, (value) => void this.save({ value }), { keep: (kind, blob, name) => this.keep(kind, blob, name) });
  }

  connectedCallback() {
    const { item, at } = this.question;
    this.classList.add("card", "stack");
    this.dataset["item"] = item.key;
    this.dataset["at"] = at;
    const id = `q-${item.key}`;
    this.setAttribute("role", "group");
    this.setAttribute("aria-labelledby", id);
    this.addEventListener("pointerdown", () => this.activate());
    this.addEventListener("focusin", () => this.activate());
    const notes = [sayLimits(item), item.required ? "" : t("work.optional"), item.verified === false ? t("work.unverified") : ""].filter(Boolean).join(" · ");
    fill(this, h("div", {}, h("h3", { id }, named(item), item.required && h("span", { class: "bad", "aria-hidden": "true" }, " *")), notes && h("div", { class: "soft small" }, notes)), this.said, this.form, this.fault, this.strip, this.evidence());
  }

  disconnectedCallback() {
    this.rest();
  }

  /** Count time from now on as spent here. */
  activate() {
    if (active === this) return;
    active?.rest();
    active = this;
    this.since = performance.now();
  }

  rest() {
    if (active !== this) return;
    active = null;
    this.spent += performance.now() - this.since;
  }

  dwell() {
    const running = active === this ? performance.now() - this.since : 0;
    return this.spent + running;
  }

  /** @param {TaskView} view */
  refresh(view) {
    this.view = view;
    const { item, at } = this.question;
    const place = placeOf(item.key, at);
    const given = view.stands.get(place) ?? [];
    const kept = view.drafts.get(place);
    if (kept && !this.draft) {
      this.draft = kept;
      this.shown = "";
    }
    if (this.draft?.replaces.length) this.correcting = true;
    this.drawSaid(view, given);
    this.drawForm(given.length === 0 || this.correcting || this.draft !== null); // what was begun is not hidden by another's answer
    const names = [...given.flatMap((answer) => filesOf(answer.value)), ...filesOf(this.draft?.value)];
    const attached = [...view.files.values()].filter((file) => file.item === item.key && file.at === at && !names.includes(file.sha256) && !isDropped(file, ATTACHED.has(item.type)));
    this.strip.show([...new Set([...names, ...attached.map((file) => file.sha256)])], view.files, new Set(given.flatMap((answer) => filesOf(answer.value))));
  }

  /** @param {TaskView} view @param {Answer[]} given */
  drawSaid(view, given) {
    const apart = inConflict(given);
    const acts = new Map(view.acts.map((act) => [act.id, act]));
    fill(
      this.said,
      apart && h("p", { class: "notice bad", role: "status" }, t("work.conflict-about")),
      ...given.map((answer) => {
        const act = acts.get(answer.id.split("/")[0] ?? "");
        return h(
          "div",
          { class: `work-answer ${isFailing(view.detail.procedure, answer) ? "fails" : ""}`, "data-answer": answer.id },
          h("div", { class: "row" }, h("strong", { class: "grow" }, isFailing(view.detail.procedure, answer) ? "✕ " : "", sayValue(this.question.item, answer.value)), act && actTicks(act)),
          h("div", { class: "soft small" }, [answer.by, clock(act?.at_ms ?? answer.phone_ms), answer.way === "rest" ? t("work.by-rest") : "", answer.replaces.length ? t("work.corrected", { reason: answer.reason ?? "" }) : "", this.device(answer)].filter(Boolean).join(" · ")),
        );
      }),
      given.length > 0 && !this.correcting && h("button", { onclick: () => this.correct(given) }, t(apart ? "work.settle" : "work.correct")),
    );
  }

  /** @param {Answer} answer */
  device(answer) {
    return answer.device ? t("work.by-device", { device: answer.device.slice(0, 6) }) : "";
  }

  /** @param {boolean} open */
  drawForm(open) {
    const state = open ? (this.correcting ? "correcting" : "asking") : "said";
    if (state === this.shown) return;
    this.shown = state;
    if (!open) return fill(this.form);
    this.input.show(this.draft?.value);
    this.reason.value = this.draft?.reason ?? "";
    fill(this.form, this.input, this.correcting && h("label", {}, h("span", {}, t("work.correct-reason")), this.reason), this.correcting && h("button", { onclick: () => void this.giveUp() }, t("app.cancel")));
  }

  /** @param {Answer[]} given */
  correct(given) {
    this.correcting = true;
    this.replaces = given.map((answer) => answer.id);
    if (this.view) this.refresh(this.view);
    this.activate();
  }

  async giveUp() {
    const key = this.key();
    this.correcting = false;
    this.draft = null;
    await this.phone.store.write(["drafts"], (of) => void of("drafts").delete(key));
    this.dispatchEvent(new CustomEvent("drafted", { bubbles: true }));
  }

  key() {
    return `${this.view?.kept.task ?? ""}\n${placeOf(this.question.item.key, this.question.at)}`;
  }

  /** Keep what was touched, at once. @param {{value?: any, reason?: string}} change */
  save(change) {
    const { item, at } = this.question;
    this.activate();
    this.fault.classList.add("hidden");
    const base = this.draft ?? { key: this.key(), task: this.view?.kept.task ?? "", item: item.key, at, value: undefined, dwell_ms: 0, phone_ms: 0, replaces: this.replaces, reason: "" };
    this.draft = { ...base, ...change, phone_ms: Date.now(), dwell_ms: base.dwell_ms + this.dwell() };
    this.spent = 0;
    if (active === this) this.since = performance.now();
    const draft = this.draft;
    const empty = draft.value === undefined || draft.value === "" || (Array.isArray(draft.value) && !draft.value.length);
    if (empty && !draft.reason) this.draft = null;
    delete this.dataset["kept"];
    this.saving = this.saving.then(() => this.phone.store.write(["drafts"], (of) => void (empty && !draft.reason ? of("drafts").delete(draft.key) : of("drafts").put(draft)))).then(() => void (this.dataset["kept"] = "true"));
    this.dispatchEvent(new CustomEvent("drafted", { bubbles: true }));
    this.evidenceAsked();
    return this.saving;
  }

  /** Wait until all is on the disk, with the time that was spent. */
  async settle() {
    await this.saving;
    if (this.draft) this.draft = { ...this.draft, dwell_ms: this.draft.dwell_ms + this.dwell() };
    this.spent = 0;
    if (active === this) this.since = performance.now();
  }

  /** @param {string} words */
  complain(words) {
    this.fault.textContent = words;
    this.fault.classList.remove("hidden");
  }

  /** What was answered here is signed. */
  recorded() {
    this.draft = null;
    this.correcting = false;
    this.replaces = [];
  }

  /** Keep a file that was taken, as (part of) the answer or beside it. @param {import("./files.js").FileKind} kind @param {Blob} blob @param {string} name @returns {Promise<string>} */
  async keep(kind, blob, name) {
    const { item, at } = this.question;
    const task = this.view?.kept.task ?? "";
    const sha256 = await keepFile(this.phone.store, { task, item: item.key, at, kind, blob, name });
    if (ATTACHED.has(item.type)) await this.save({ value: [...new Set([...(this.draft?.value ?? []), sha256])] });
    return sha256;
  }

  /** @param {string} sha256 */
  dropFile(sha256) {
    if (!this.draft?.value) return;
    void this.save({ value: this.draft.value.filter((/** @type {string} */ one) => one !== sha256) });
    if (this.view?.files.get(sha256)?.state === "phone") void this.phone.store.write(["files"], (of) => void of("files").delete(sha256));
  }

  /** Photograph, film and voice beside any answer: kept, and bound by a signed note. */
  evidence() {
    const { item, at } = this.question;
    if (ATTACHED.has(item.type)) return null;
    const buttons = takeButtons(["photo", "video", "audio"], async (kind, blob, name) => {
      const sha256 = await this.keep(kind, blob, name);
      const text = t("work.note-file", { kind: known("work.file", kind), item: [named(item), at].filter(Boolean).join(" · ") });
      await doAct(this.phone.store, { task: this.view?.kept.task ?? "", procedure: this.view?.detail.procedure_sha256 ?? "", kind: "note", payload: { text: `${text} sha256:${sha256}` } });
    });
    return h("div", { class: "work-evidence" }, this.asks, buttons);
  }

  /** A finding asks for a photograph. */
  evidenceAsked() {
    const option = this.question.item.options?.find((one) => one.key === this.draft?.value || (Array.isArray(this.draft?.value) && this.draft.value.includes(one.key)));
    const has = [...(this.view?.files.values() ?? [])].some((file) => file.item === this.question.item.key && file.at === this.question.at);
    this.asks.classList.toggle("hidden", !option?.fails || has);
  }
}

/** @param {any} value @returns {string[]} */
function filesOf(value) {
  if (Array.isArray(value)) return value.filter((one) => /^[0-9a-f]{64}$/.test(one));
  return value && typeof value === "object" && typeof value.drawn === "string" ? [value.drawn] : [];
}

/** A file of an item of files that neither stands nor is about to: taken out again before it was signed. @param {import("./store.js").KeptFile} file @param {boolean} attached */
function isDropped(file, attached) {
  return attached || file.kind === "signature";
}

customElements.define("question-card", QuestionCard);
