// The bar on top: network, what is not yet sent, battery, recorder, storage, clock - always there, each by sign and word.
import { call } from "../api.js";
import { fill, h } from "../dom.js";
import { bytes, clock, stretch, t } from "../words.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./store.js").KeptAct} KeptAct */
/** @typedef {import("./store.js").KeptFile} KeptFile */
/** @typedef {import("./store.js").KeptTask} KeptTask */

const LOOK_MS = 15_000;
const CLOCK_WRONG_MS = 30_000;
const FULL = 0.9;
const LOW = 0.2;

export class PhoneStatus extends HTMLElement {
  /** @param {Phone} [phone] */
  constructor(phone) {
    super();
    this.phone = phone;
    this.unsent = 0;
    this.refused = 0;
    this.recorder = "";
    /** @type {string[]} */
    this.streams = [];
    /** @type {{usage: number, quota: number, kept: boolean} | null} */
    this.storage = null;
    /** @type {{level: number, charging: boolean} | null} */
    this.battery = null;
    this.ending = new AbortController();
  }

  connectedCallback() {
    const { signal } = (this.ending = new AbortController());
    this.setAttribute("role", "status");
    this.setAttribute("aria-label", t("work.status"));
    this.phone?.outbox.addEventListener("line", () => this.draw(), { signal });
    this.phone?.store.addEventListener("changed", () => void this.count(), { signal });
    const timer = window.setInterval(() => void this.measure(), LOOK_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
    void navigator.storage?.persist?.();
    void this.count();
    void this.measure();
  }

  disconnectedCallback() {
    this.ending.abort();
  }

  async count() {
    if (!this.phone) return;
    const [acts, files, tasks] = await Promise.all([this.phone.store.all("acts"), this.phone.store.all("files"), this.phone.store.all("tasks")]);
    this.unsent = acts.filter((/** @type {KeptAct} */ act) => act.mine && act.state === "waiting").length + files.filter((/** @type {KeptFile} */ file) => file.state === "phone").length;
    this.refused = acts.filter((/** @type {KeptAct} */ act) => act.mine && act.state === "refused" && !act.settled).length + files.filter((/** @type {KeptFile} */ file) => file.why).length;
    const open = location.pathname.split("/")[2] ?? "";
    const task = tasks.find((/** @type {KeptTask} */ one) => one.task === decodeURIComponent(open));
    this.streams = (task?.detail?.pairings ?? []).filter((/** @type {{state: string}} */ one) => one.state === "paired").map((/** @type {{stream: string}} */ one) => one.stream);
    this.recorder = !task?.detail ? "" : !this.streams.length ? "none" : this.recorder === "dead" ? "dead" : "paired";
    this.draw();
  }

  async measure() {
    const told = await navigator.storage?.estimate?.();
    if (told) this.storage = { usage: told.usage ?? 0, quota: told.quota ?? 0, kept: (await navigator.storage.persisted?.()) ?? false };
    const battery = await /** @type {any} */ (navigator).getBattery?.();
    if (battery) this.battery = { level: battery.level, charging: battery.charging };
    await this.ask();
    this.draw();
  }

  /** A recorder that is paired and does not record is said at once, and felt. */
  async ask() {
    if (!this.streams.length || this.phone?.outbox.line !== "online") return;
    const told = await call("GET", "streams").catch(() => null);
    if (!told || !this.streams.length) return;
    const dead = told.streams.some((/** @type {{stream: string, state: string}} */ one) => this.streams.includes(one.stream) && one.state !== "recording");
    if (dead && this.recorder === "paired") navigator.vibrate?.([200, 100, 200]);
    this.recorder = dead ? "dead" : "paired";
  }

  draw() {
    if (!this.phone) return;
    fill(this, this.network(), this.outgoing(), this.power(), this.recorderChip(), this.room(), this.time());
  }

  network() {
    const { line, since, failure } = /** @type {Phone} */ (this.phone).outbox;
    const kind = { online: "good", offline: "warn", unreachable: "warn", login: "bad" }[line];
    return chip(kind, "⇅", t(`work.line-${line}`), since ? t("work.since", { time: clock(since) }) : failure);
  }

  outgoing() {
    if (this.refused) return h("a", { href: "/work#safe" }, chip("bad", "✕", t("work.refused-count", { count: this.refused }), ""));
    const working = this.phone?.outbox.working;
    return h("a", { href: "/work#safe" }, chip(this.unsent ? "wait" : "good", working ? "⇪" : this.unsent ? "○" : "✓", this.unsent ? t("work.unsent", { count: this.unsent }) : t("work.all-sent"), ""));
  }

  power() {
    if (!this.battery) return null;
    const percent = Math.round(this.battery.level * 100);
    return chip(this.battery.level < LOW && !this.battery.charging ? "bad" : "off", this.battery.charging ? "⚡" : "▮", `${percent} %`, t("work.battery"));
  }

  recorderChip() {
    return this.recorder && chip(this.recorder === "paired" ? "good" : "bad", "◉", t(`work.recorder-${this.recorder}`), "");
  }

  room() {
    if (!this.storage?.quota) return null;
    const full = this.storage.usage / this.storage.quota > FULL;
    const state = t(this.storage.kept ? "work.storage-kept" : "work.storage-may-go");
    return chip(full ? "bad" : this.storage.kept ? "off" : "warn", "▤", bytes(Math.max(0, this.storage.quota - this.storage.usage)), `${t("work.storage-free")} · ${state}`);
  }

  time() {
    const ahead = this.phone?.outbox.ahead_ms ?? null;
    if (ahead === null) return chip("off", "◷", t("work.clock-unknown"), "");
    const wrong = Math.abs(ahead) > CLOCK_WRONG_MS;
    const words = wrong ? t(ahead > 0 ? "work.clock-ahead" : "work.clock-behind", { time: stretch(Math.abs(ahead)) }) : t("work.clock-right");
    return chip(wrong ? "bad" : "off", "◷", words, t("work.clock-about"));
  }
}

/** @param {string} kind @param {string} sign @param {string} words @param {string} about */
function chip(kind, sign, words, about) {
  return h("span", { class: `badge ${kind}`, title: about || null }, h("span", { "aria-hidden": "true" }, sign), words);
}

customElements.define("phone-status", PhoneStatus);
