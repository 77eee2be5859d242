// What is not yet safe: acts and files with their sizes, what was refused and why, and a button that sends now.
import { fill, h } from "../dom.js";
import { bytes, clock, known, moment, stretch, t } from "../words.js";
import { payloadOf } from "./acts.js";
import { actTicks, fileTicks } from "./upload-ticks.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./store.js").KeptAct} KeptAct */
/** @typedef {import("./store.js").KeptFile} KeptFile */
/** @typedef {import("./store.js").Draft} Draft */

export class UnsafeList extends HTMLElement {
  /** @param {Phone} [phone] @param {string} [task] of this task alone */
  constructor(phone, task = "") {
    super();
    this.phone = phone;
    this.task = task;
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

  refresh() {}

  async draw() {
    if (!this.phone) return;
    const { store, outbox } = this.phone;
    const ours = (/** @type {{task: string}} */ one) => !this.task || one.task === this.task;
    const acts = /** @type {KeptAct[]} */ (await store.all("acts")).filter((act) => act.mine && ours(act));
    const files = /** @type {KeptFile[]} */ (await store.all("files")).filter(ours);
    const drafts = /** @type {Draft[]} */ (await store.all("drafts")).filter(ours);
    const open = acts.filter((act) => act.state !== "verified" && !act.settled).sort((one, other) => one.seq - other.seq);
    const away = files.filter((file) => file.state !== "verified");
    const size = away.reduce((sum, file) => sum + file.size - (file.state === "phone" ? file.have : file.size), 0);
    fill(
      this,
      h("div", { class: "page-head" }, h(this.task ? "h2" : "h1", { class: "grow" }, t("work.unsafe-title")), h("button", { class: "primary", id: "send-now", disabled: outbox.working, onclick: () => outbox.kick() }, t(outbox.working ? "work.sending" : "work.send-now"))),
      h("p", { class: "soft" }, open.length + away.length ? t("work.unsafe-sum", { acts: open.length, files: away.length, size: bytes(size) }) : t("work.unsafe-none")),
      outbox.tries > 0 && h("p", { class: "notice", role: "status" }, t("work.retry", { why: outbox.failure || t("app.unreachable"), time: stretch(Math.max(0, outbox.next - Date.now())) })),
      drafts.length > 0 && h("p", { class: "notice" }, t("work.drafts-kept", { count: drafts.length })),
      h("ul", { class: "work-list" }, ...open.map((act) => this.act(act)), ...away.map((file) => fileLine(file)), ...files.filter((file) => file.state === "verified").slice(-20).map((file) => fileLine(file))),
    );
  }

  /** @param {KeptAct} act */
  act(act) {
    const refused = act.state === "refused";
    return h(
      "li",
      { class: "card stack", "data-act": act.kind },
      h("div", { class: "row" }, h("strong", { class: "grow" }, known("work.act", act.kind)), actTicks(act)),
      h("div", { class: "soft small" }, `${act.task} · ${moment(act.made_ms)} · № ${act.seq} · ${bytes(act.text.length)}`),
      act.why && h("p", { class: "notice bad" }, known("work.why", act.why)),
      refused && h("div", { class: "row" }, h("button", { onclick: () => void this.again(act) }, t("work.try-again")), act.kind === "answers" && h("button", { onclick: () => void this.takeBack(act) }, t("work.take-back")), h("button", { onclick: () => void this.settle(act) }, t("work.leave-it"))),
      refused && h("p", { class: "soft small" }, t("work.refused-about")),
    );
  }

  /** @param {KeptAct} act */
  async again(act) {
    await this.phone?.store.change("acts", act.id, () => ({ state: "waiting", why: "" }));
    this.phone?.outbox.kick();
  }

  /** Somebody has seen to a refused act: it stays in the task's history, and asks for nothing any more. @param {KeptAct} act */
  async settle(act) {
    await this.phone?.store.change("acts", act.id, () => ({ settled: true }));
  }

  /** Put the answers of a refused act back on the desk, to be put right and signed anew. @param {KeptAct} act */
  async takeBack(act) {
    const answers = payloadOf(act).answers;
    await this.phone?.store.write(["drafts", "acts"], (of) => {
      of("acts").put({ ...act, settled: true });
      for (const one of answers) {
        const at = one.at ?? "";
        of("drafts").put({ key: `${act.task}\n${one.item}\n${at}`, task: act.task, item: one.item, at, value: one.value, dwell_ms: one.dwell_ms, phone_ms: one.phone_ms, replaces: one.replaces ?? [], reason: one.reason ?? "" });
      }
    });
  }
}

/** @param {KeptFile} file */
function fileLine(file) {
  return h(
    "li",
    { class: "card stack", "data-file": file.sha256 },
    h("div", { class: "row" }, h("strong", { class: "grow" }, known("work.file", file.kind), " ", h("span", { class: "soft small" }, bytes(file.size))), fileTicks(file)),
    h("div", { class: "soft small" }, `${file.task} · ${[file.item, file.at].filter(Boolean).join(" ")} · ${clock(file.made_ms)}`),
    file.state === "phone" && file.have > 0 && h("progress", { max: String(file.size), value: String(file.have), "aria-label": t("work.file-progress") }),
    file.why && h("p", { class: "notice bad" }, file.why),
  );
}

customElements.define("unsafe-list", UnsafeList);
