// All video lanes of a task at once, in step with the player: one clock, the player's, leads them; each shows its own gaps as gaps.
import { fill, h } from "./dom.js";
import { isSegment, pieceAt } from "./evidence-lane.js";
import { EvidenceReel } from "./evidence-reel.js";
import { known, t } from "./words.js";

/** @typedef {import("./evidence-lane.js").Lane} Lane */
/** @typedef {import("./evidence-player.js").EvidencePlayer} EvidencePlayer */

const BY_ITSELF = 4; // so many lanes play in step without being asked
const DRIFT_S = 0.12;
const JUMP_S = 0.6;
const TICK_MS = 120;

class Follower {
  /** @param {Lane} lane @param {() => void} chosen */
  constructor(lane, chosen) {
    this.lane = lane;
    /** @type {EvidenceReel | null} */
    this.reel = null;
    this.video = h("video", { playsinline: true, muted: true, "aria-label": lane.stream });
    this.video.muted = true;
    this.cover = h("div", { class: "cover" });
    this.tile = h("button", { class: "follower", title: t("story.lead"), onclick: chosen }, h("div", { class: "screen" }, this.video, this.cover), h("span", { class: "small" }, lane.stream));
    this.at = -1;
  }

  /** @param {EvidencePlayer} player @param {() => Promise<string>} view */
  begin(player, view) {
    if (this.reel || !player.reel) return;
    this.reel = new EvidenceReel(player.task, this.lane, player.reel.origin, this.video);
    this.reel.begin = view; // one playback, one record: that of the player
  }

  /** @param {EvidencePlayer} player */
  follow(player) {
    const reel = this.reel;
    if (!reel) return;
    const piece = pieceAt(this.lane, player.position);
    const isThere = piece !== null && isSegment(piece) && piece.state === "verified";
    this.cover.classList.toggle("hidden", isThere);
    if (!isThere) {
      this.video.pause();
      fill(this.cover, piece === null ? t("player.nothing") : isSegment(piece) ? t(`state.${piece.state}`) : known("cause", piece.cause));
      return;
    }
    if (Math.abs(player.position - this.at) > 500) {
      this.at = player.position;
      void reel.load(player.position);
    }
    const off = this.video.currentTime - reel.mediaOf(player.position);
    const runs = player.playing && !player.backward && player.gapSince === null;
    if (Math.abs(off) > (runs ? JUMP_S : DRIFT_S / 4) && !this.video.seeking) this.video.currentTime = reel.mediaOf(player.position);
    this.video.playbackRate = player.speed * (off > DRIFT_S ? 0.9 : off < -DRIFT_S ? 1.1 : 1);
    if (runs && this.video.paused) void this.video.play().catch(() => undefined);
    if (!runs && !this.video.paused) this.video.pause();
  }

  close() {
    if (this.reel) this.reel.view = null; // the player ends it
    this.reel?.close();
    this.reel = null;
  }
}

/** Dispatches `lead` (detail: the stream that is to be large). */
export class LanesInStep extends HTMLElement {
  constructor() {
    super();
    /** @type {EvidencePlayer | null} */
    this.player = null;
    /** @type {Map<string, Follower>} */
    this.followers = new Map();
    /** @type {Lane[]} */
    this.lanes = [];
    /** @type {boolean | null} whether a person asked for it */
    this.asked = null;
    this.timer = 0;
    this.button = h("button", { "aria-pressed": "false", onclick: () => this.toggle() }, t("story.in-step"));
    this.tiles = h("div", { class: "followers" });
  }

  connectedCallback() {
    fill(this, this.button, this.tiles);
    this.timer = window.setInterval(() => this.tick(), TICK_MS);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    for (const follower of this.followers.values()) follower.close();
    this.followers.clear();
  }

  /** @param {EvidencePlayer} player @param {Lane[]} lanes */
  show(player, lanes) {
    this.player = player;
    this.lanes = lanes.filter((lane) => lane.segments.length);
    for (const lane of this.lanes) {
      const known = this.followers.get(lane.stream);
      if (known) known.lane = lane;
      known?.reel?.place(lane);
    }
  }

  get on() {
    return this.asked ?? this.lanes.length <= BY_ITSELF;
  }

  toggle() {
    this.asked = !this.on;
  }

  /** The player's playback, begun once for all lanes. */
  async view() {
    const reel = this.player?.reel;
    if (!reel) throw new Error(t("player.choose"));
    reel.view ??= reel.begin();
    return reel.view;
  }

  tick() {
    const player = this.player;
    this.classList.toggle("hidden", this.lanes.length < 2 || !player?.reel);
    this.button.setAttribute("aria-pressed", String(this.on));
    const wanted = player?.reel && this.on ? this.lanes.filter((lane) => lane.stream !== player.lane?.stream) : [];
    for (const [stream, follower] of [...this.followers]) {
      if (wanted.some((lane) => lane.stream === stream)) continue;
      follower.close();
      this.followers.delete(stream);
    }
    for (const lane of wanted) if (!this.followers.has(lane.stream)) this.followers.set(lane.stream, new Follower(lane, () => this.lead(lane.stream)));
    const tiles = [...this.followers.values()].map((follower) => follower.tile);
    if (tiles.length !== this.tiles.childElementCount || tiles.some((tile, at) => this.tiles.children[at] !== tile)) fill(this.tiles, ...tiles);
    if (!player) return;
    for (const follower of this.followers.values()) {
      follower.begin(player, () => this.view());
      follower.follow(player);
    }
  }

  /** @param {string} stream */
  lead(stream) {
    this.dispatchEvent(new CustomEvent("lead", { detail: stream }));
  }
}

customElements.define("lanes-in-step", LanesInStep);
