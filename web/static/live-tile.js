// A tile of the wall: one live picture with its facts. When it stops it says why and shows its last picture with its age.
import { Refusal, whoami } from "./api.js";
import { fill, h } from "./dom.js";
import { LiveView } from "./live-view.js";
import { clock, known, stretch, t } from "./words.js";

/** @typedef {{stream: string, box: string, source: string, role: string, state: string, detail: string, task: string | null, live: boolean, viewers: number}} StreamState */

const SILENCE_MS = 3000;
const FIRST_MS = 10000;
const DEAD_MS = 1500;
const RETRY_MS = [1000, 2000, 4000, 8000];
const KEEP_EVERY_MS = 500;
const PROVEN_MS = 2500;

/** Attribute `stream`; property `facts` (StreamState), `paired` (names of who paired it). */
export class LiveTile extends HTMLElement {
  constructor() {
    super();
    /** @type {StreamState | null} */
    this.state = null;
    this.pairedBy = "";
    /** @type {LiveView | null} */
    this.view = null;
    this.timer = 0;
    this.began = 0;
    this.kept = 0;
    this.keptAt = 0;
    this.tries = 0;
    this.retryAt = 0;
    this.why = "";
    this.since = 0;
    this.video = h("video", { muted: true, playsinline: true });
    this.video.muted = true;
    this.last = h("canvas", { class: "hidden" });
    this.cover = h("div", { class: "cover", role: "status" });
    this.factsLine = h("div", { class: "facts" });
    this.delay = h("span", { class: "delay mono live-number" });
  }

  get stream() {
    return this.getAttribute("stream") ?? "";
  }

  /** @param {StreamState | null} state @param {string} [pairedBy] */
  show(state, pairedBy = "") {
    this.state = state;
    this.pairedBy = pairedBy;
    if (this.isConnected) this.drawFacts();
  }

  connectedCallback() {
    fill(this, h("div", { class: "picture" }, this.video, this.last, this.cover), this.factsLine);
    this.drawFacts();
    this.addEventListener("dblclick", this.enlarge);
    this.timer = window.setInterval(() => this.check(), 500);
    void this.open();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    this.removeEventListener("dblclick", this.enlarge);
    this.view?.close();
    this.view = null;
  }

  enlarge = () => {
    this.classList.toggle("large");
    this.video.muted = !this.classList.contains("large");
  };

  async open() {
    if (!this.isConnected || !whoami()) return;
    this.view?.close();
    this.since = 0;
    this.began = Date.now();
    this.retryAt = 0;
    const view = (this.view = new LiveView(this.stream, this.video));
    view.onfailure = (why) => this.stopped(why || t("live.broken"));
    view.onframe = () => this.alive();
    try {
      await view.open();
    } catch (error) {
      if (this.view !== view) return;
      this.stopped(error instanceof Refusal ? error.what : t("live.unreachable"));
    }
  }

  alive() {
    const now = Date.now();
    this.since ||= now;
    if (this.tries && now - this.since < PROVEN_MS) return; // a relay repeats its newest pictures: after a stop they prove nothing yet
    if (this.dataset["live"] !== "running") {
      this.dataset["live"] = "running";
      this.tries = 0;
      this.why = "";
      this.last.classList.add("hidden");
      this.cover.classList.add("hidden");
    }
    if (now - this.keptAt > KEEP_EVERY_MS) this.keep(now);
  }

  /** Keep the newest picture, for when it becomes the last. @param {number} now */
  keep(now) {
    this.keptAt = now;
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth) return;
    const scale = Math.min(1, 640 / videoWidth);
    this.last.width = Math.round(videoWidth * scale);
    this.last.height = Math.round(videoHeight * scale);
    this.last.getContext("2d")?.drawImage(this.video, 0, 0, this.last.width, this.last.height);
    this.kept = now;
  }

  check() {
    const now = Date.now();
    const pulse = this.view?.pulse;
    if (this.retryAt && now >= this.retryAt) void this.open();
    else if (!this.retryAt && pulse) {
      const silent = pulse.lastFrame ? now - pulse.lastFrame > SILENCE_MS : now - this.began > FIRST_MS;
      if (silent) this.stopped(t("live.silent"));
    }
    if (pulse && pulse.delay === null) void this.view?.measure();
    this.drawDelay();
    const dead = this.state && this.state.state !== "recording" && now - this.began > DEAD_MS; // its box knows: no need to wait for the hub
    if (!this.why && dead && this.dataset["live"] !== "running") this.drawStopped(now);
    else if (!this.why && this.dataset["live"] !== "running") this.drawCover(h("span", { class: "pulse" }, t("live.opening")));
    else if (this.why) this.drawStopped(now);
  }

  /** @param {string} why */
  stopped(why) {
    this.why = why;
    this.dataset["live"] = "stopped";
    this.view?.close();
    this.last.classList.toggle("hidden", !this.kept);
    this.retryAt = Date.now() + (RETRY_MS[Math.min(this.tries, RETRY_MS.length - 1)] ?? 8000);
    this.tries += 1;
    this.drawStopped(Date.now());
  }

  /** @param {number} now */
  drawStopped(now) {
    const state = this.state;
    const cause = state && state.state !== "recording" ? `${known("source", state.state)}${state.detail ? `${t("app.colon")}${state.detail}` : ""}` : this.why;
    this.drawCover(
      h("strong", {}, t("live.stopped")),
      h("span", { class: "why" }, cause),
      this.kept ? h("span", {}, t("live.last", { time: clock(this.kept), age: stretch(now - this.kept) })) : h("span", {}, t("live.none")),
    );
  }

  /** @param {...Node} children */
  drawCover(...children) {
    this.cover.classList.remove("hidden");
    fill(this.cover, ...children);
  }

  drawDelay() {
    const delay = this.view?.pulse.delay;
    this.delay.title = t("live.delay-about");
    this.delay.textContent = this.dataset["live"] === "running" && delay !== null && delay !== undefined ? t("live.delay", { ms: Math.round(delay) }) : "";
  }

  drawFacts() {
    const state = this.state;
    const kind = state ? ({ recording: "good", waiting: "wait", stopped: "off" }[state.state] ?? "bad") : "off";
    fill(
      this.factsLine,
      h("span", { class: "name" }, state?.source ?? this.stream.split("/")[1] ?? this.stream),
      h("span", { class: "soft small" }, state?.box ?? this.stream.split("/")[0]),
      h("span", { class: `badge ${kind}` }, h("i"), state ? known("source", state.state) : t("source.unknown")),
      state?.task && h("a", { class: "badge wait", href: `/tasks/${encodeURIComponent(state.task)}` }, state.task),
      this.pairedBy && h("span", { class: "small" }, t("wall.paired", { who: this.pairedBy })),
      this.delay,
    );
  }
}

customElements.define("live-tile", LiveTile);
