// Play one lane on the wall-clock axis: a gap is seen as a gap, with its cause; then playing goes on behind it.
import { fill, h } from "./dom.js";
import { isSegment, nextSegment, pieceAt, whyOf } from "./evidence-lane.js";
import { EvidenceReel } from "./evidence-reel.js";
import { clock, known, moment, stretch, t } from "./words.js";

/** @typedef {import("./evidence-lane.js").Lane} Lane */
/** @typedef {import("./evidence-lane.js").Piece} Piece */

const GAP_SHOWN_MS = 1500;
const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const BACK_STEP_MS = 500;
const FRAME_EDGE_S = 0.001;

/** Properties by `show` (task, lane, origin); dispatches `position` (detail {stream, ms}). */
export class EvidencePlayer extends HTMLElement {
  constructor() {
    super();
    this.task = "";
    /** @type {Lane | null} */
    this.lane = null;
    /** @type {EvidenceReel | null} */
    this.reel = null;
    this.position = 0;
    this.playing = false;
    this.backward = false;
    this.speed = 1;
    this.timer = 0;
    /** @type {number | null} when the shown gap began to be shown */
    this.gapSince = null;
    this.failure = "";
    this.video = h("video", { playsinline: true, "aria-label": t("player.video") });
    this.cover = h("div", { class: "cover hidden", role: "status" });
    this.time = h("span", { class: "clock mono" });
    this.name = h("span", { class: "soft" });
    this.playButton = h("button", { class: "primary", title: "K", onclick: () => this.toggle() }, t("player.play"));
    this.speedChoice = h(
      "select",
      { "aria-label": t("player.speed"), onchange: () => this.setSpeed(Number(this.speedChoice.value)) },
      ...SPEEDS.map((speed) => h("option", { value: String(speed) }, `${speed}×`)),
    );
    this.speedChoice.style.width = "auto";
    this.keys = (/** @type {KeyboardEvent} */ event) => this.onKey(event);
  }

  connectedCallback() {
    this.speedChoice.value = "1";
    fill(
      this,
      h("div", { class: "screen" }, this.video, this.cover),
      h(
        "div",
        { class: "controls" },
        this.playButton,
        h("button", { title: `${t("player.back")} (J)`, onclick: () => this.back() }, "◀◀"),
        h("button", { title: `${t("player.frame-back")} (,)`, onclick: () => void this.step(-1) }, "◀|"),
        h("button", { title: `${t("player.frame-on")} (.)`, onclick: () => void this.step(1) }, "|▶"),
        this.speedChoice,
        this.time,
        this.name,
      ),
      h("p", { class: "soft small" }, t("player.recorded"), " ", h("span", { class: "keys" }, t("player.keys"))),
    );
    document.addEventListener("keydown", this.keys);
    window.addEventListener("pagehide", this.leave);
    this.timer = window.setInterval(() => this.tick(), 60);
    this.drawCover(null);
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.keys);
    window.removeEventListener("pagehide", this.leave);
    clearInterval(this.timer);
    this.leave();
  }

  leave = () => {
    this.reel?.close();
    this.reel = null;
  };

  /** Show a lane, or its newer state. @param {string} task @param {Lane} lane @param {number} origin */
  show(task, lane, origin) {
    if (this.reel && this.lane?.stream === lane.stream && this.task === task) {
      this.lane = lane;
      this.reel.place(lane);
      return;
    }
    this.leave();
    this.task = task;
    this.lane = lane;
    this.failure = "";
    this.reel = new EvidenceReel(task, lane, origin, this.video);
    this.reel.onfailure = (error) => {
      this.failure = error.message;
    };
    this.name.textContent = lane.stream;
  }

  /** Go to a wall instant, exactly. @param {number} ms */
  async seek(ms) {
    const reel = this.reel;
    if (!reel || !this.lane) return;
    this.position = ms;
    this.failure = "";
    this.gapSince = null;
    this.tell();
    const piece = pieceAt(this.lane, ms);
    if (!piece || !isSegment(piece) || piece.state !== "verified") {
      this.video.pause();
      this.drawCover(piece);
      return;
    }
    await reel.load(ms);
    if (this.position !== ms || this.reel !== reel) return;
    this.cover.classList.add("hidden");
    await this.settle(reel.mediaOf(ms));
    if (this.playing && !this.backward) void this.video.play().catch(() => undefined);
  }

  /** Go to an instant and play on from there, where there is video; else say what is there. @param {number} ms */
  async playFrom(ms) {
    this.pause();
    const piece = this.lane && pieceAt(this.lane, ms);
    this.playing = piece !== null && isSegment(piece) && piece.state === "verified";
    this.drawButton();
    await this.seek(ms);
  }

  /** Set the video's time and wait until its frame is shown. @param {number} seconds */
  async settle(seconds) {
    if (!this.video.seeking && Math.abs(this.video.currentTime - seconds) < FRAME_EDGE_S / 10 && this.video.readyState >= 2) return;
    const done = new Promise((resolve) => this.video.addEventListener("seeked", resolve, { once: true }));
    this.video.currentTime = seconds;
    await Promise.race([done, new Promise((resolve) => setTimeout(resolve, 4000))]);
  }

  tick() {
    const { reel, lane } = this;
    if (!reel || !lane) return;
    if (this.gapSince !== null) this.passGap(lane);
    else if (this.playing && !this.backward && this.cover.classList.contains("hidden") && !this.video.seeking) this.follow(reel, lane);
    this.time.textContent = this.position ? clock(this.position, true) : "—";
    if (this.failure) this.drawFailure();
  }

  /** Follow the running picture; stop at the edge of what is there. @param {EvidenceReel} reel @param {Lane} lane */
  follow(reel, lane) {
    const now = reel.wallOf(this.video.currentTime);
    const piece = pieceAt(lane, now + 40);
    if (now > this.position) {
      this.position = now;
      this.tell();
    }
    if (piece && isSegment(piece) && piece.state === "verified") {
      void reel.load(now);
      return;
    }
    const next = nextSegment(lane, now);
    if (next && next.from_ms - now < 80) {
      void this.seek(next.from_ms);
      return;
    }
    this.video.pause();
    this.position = Math.max(this.position, piece ? piece.from_ms : now);
    if (!next) {
      this.playing = false;
      this.drawButton();
      this.drawCover(piece ?? "end");
      return;
    }
    this.gapSince = Date.now();
    this.drawCover(piece);
  }

  /** Let a gap be seen, then go on behind it. @param {Lane} lane */
  passGap(lane) {
    if (!this.playing || this.gapSince === null || Date.now() - this.gapSince < GAP_SHOWN_MS) return;
    this.gapSince = null;
    const next = lane.segments.find((segment) => segment.from_ms > this.position && segment.state === "verified");
    if (next) void this.seek(next.from_ms);
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    if (!this.reel || !this.lane) return;
    this.backward = false;
    this.playing = true;
    this.drawButton();
    const piece = pieceAt(this.lane, this.position);
    if (piece && isSegment(piece) && piece.state === "verified") void this.seek(this.position);
    else {
      this.gapSince = Date.now();
      this.drawCover(piece);
    }
  }

  pause() {
    this.playing = this.backward = false;
    this.gapSince = null;
    this.video.pause();
    this.drawButton();
  }

  /** Play backwards: step after step, as fast as pictures come. */
  back() {
    if (!this.reel || this.backward) return;
    this.pause();
    this.playing = this.backward = true;
    this.drawButton();
    void this.goBack();
  }

  async goBack() {
    while (this.backward && this.lane) {
      const to = this.position - BACK_STEP_MS * this.speed;
      const began = Date.now();
      await this.seek(Math.max(to, this.lane.segments[0]?.from_ms ?? to));
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, BACK_STEP_MS - (Date.now() - began))));
      if (to <= (this.lane?.segments[0]?.from_ms ?? to)) this.pause();
    }
  }

  /** Go one frame on or back. @param {1 | -1} way */
  async step(way) {
    const { reel, lane } = this;
    if (!reel || !lane) return;
    this.pause();
    await reel.load(this.position);
    const around = reel.framesAround(this.video.currentTime);
    let to = way > 0 ? around.after : around.before;
    if (to === null) {
      await reel.load(way > 0 ? this.position + 1000 : this.position - 1000);
      const again = reel.framesAround(this.video.currentTime);
      to = way > 0 ? again.after : again.before;
    }
    if (to !== null) await this.seek(reel.wallOf(to) + FRAME_EDGE_S * 1000);
  }

  /** @param {number} speed */
  setSpeed(speed) {
    this.speed = SPEEDS.includes(speed) ? speed : 1;
    this.video.playbackRate = this.speed;
    this.speedChoice.value = String(this.speed);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.target instanceof HTMLElement && event.target.closest("input, textarea, select, dialog")) return;
    const key = event.key.toLowerCase();
    if (key === "k") this.toggle();
    else if (key === "j") this.back();
    else if (key === "l") this.faster();
    else if (key === ",") void this.step(-1);
    else if (key === ".") void this.step(1);
    else return;
    event.preventDefault();
  }

  faster() {
    if (this.playing && !this.backward) this.setSpeed(Math.min(8, this.speed * 2));
    else {
      this.setSpeed(1);
      this.play();
    }
  }

  tell() {
    this.dispatchEvent(new CustomEvent("position", { detail: { stream: this.lane?.stream, ms: this.position } }));
  }

  drawButton() {
    this.playButton.textContent = this.playing ? t("player.pause") : t("player.play");
  }

  /** @param {Piece | null | "end"} piece */
  drawCover(piece) {
    this.cover.classList.remove("hidden");
    this.cover.dataset["state"] = piece === null || piece === "end" ? "none" : piece.state;
    if (!this.reel) fill(this.cover, h("span", {}, t("player.choose")));
    else if (piece === "end") fill(this.cover, h("strong", {}, t("player.end")));
    else if (piece === null) fill(this.cover, h("strong", {}, t("player.nothing")), h("span", { class: "mono" }, moment(this.position)), this.whereNext());
    else this.drawPiece(piece);
  }

  /** Say where the video goes on. */
  whereNext() {
    const next = this.lane && nextSegment(this.lane, this.position);
    return h("span", {}, next ? t("player.next", { time: clock(next.from_ms) }) : t("player.no-more"));
  }

  /** @param {Piece} piece */
  drawPiece(piece) {
    const gap = piece.state === "unknown" ? t("player.unknown") : t("player.gap", { cause: isSegment(piece) ? "" : known("cause", piece.cause) });
    const title = isSegment(piece) ? t(`player.${piece.state}`) : gap;
    const detail = isSegment(piece) ? whyOf(piece.why) : piece.detail;
    fill(
      this.cover,
      h("strong", {}, title),
      h("span", { class: "mono" }, `${clock(piece.from_ms, true)} – ${clock(piece.to_ms, true)} · ${stretch(piece.to_ms - piece.from_ms)}`),
      detail && h("span", {}, detail),
      !isSegment(piece) && this.whereNext(),
    );
  }

  drawFailure() {
    this.cover.classList.remove("hidden");
    this.cover.dataset["state"] = "failed";
    fill(this.cover, h("strong", {}, t("player.cannot")), h("span", {}, this.failure));
  }
}

customElements.define("evidence-player", EvidencePlayer);
