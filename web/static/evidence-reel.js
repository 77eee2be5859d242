// Feed one lane's segments into a video element on the wall-clock axis: media time is (wall - origin), so a gap stays a gap.
import { call, part, Refusal, send } from "./api.js";
import { readPicture } from "./fmp4.js";

/** @typedef {import("./evidence-lane.js").Lane} Lane */
/** @typedef {import("./evidence-lane.js").Segment} Segment */
/** @typedef {{segment: Segment, frames: number[]}} Loaded */

const AHEAD = 3;
const BEHIND_S = 45;
const BEFORE_S = 90;
const MEDIA_HZ = 90000;
const DRIFT_MS = 250;

/** A lane's media. `origin` is the wall instant at media time 0. */
export class EvidenceReel {
  /** @param {string} task @param {Lane} lane @param {number} origin @param {HTMLVideoElement} video */
  constructor(task, lane, origin, video) {
    this.task = task;
    this.lane = lane;
    this.origin = origin;
    this.video = video;
    this.media = new MediaSource();
    /** @type {SourceBuffer | null} */
    this.buffer = null;
    /** @type {Map<string, Loaded>} */
    this.loaded = new Map();
    /** @type {Map<string, number>} */
    this.offsets = new Map();
    /** @type {Promise<void>} */
    this.turn = Promise.resolve();
    this.generation = 0;
    this.codecs = "";
    /** @type {Promise<string> | null} */
    this.view = null;
    /** @type {(error: Error) => void} */
    this.onfailure = () => {};
    this.place(lane);
    this.opened = new Promise((resolve) => this.media.addEventListener("sourceopen", () => resolve(null), { once: true }));
    this.address = URL.createObjectURL(this.media);
    video.src = this.address;
  }

  /**
   * Lay each segment on the axis: within a run media time is continuous, so one offset serves it until the clocks have drifted apart.
   * @param {Lane} lane
   */
  place(lane) {
    this.lane = lane;
    /** @type {Map<string, number>} */
    const offsetOfRun = new Map();
    for (const segment of lane.segments) {
      const run = `${segment.record.issuer}/${segment.record.epoch}/${segment.run}`;
      const own = (segment.from_ms - this.origin) / 1000 - segment.media_from / MEDIA_HZ;
      const held = offsetOfRun.get(run);
      const offset = held === undefined || Math.abs(held - own) * 1000 > DRIFT_MS ? own : held;
      offsetOfRun.set(run, offset);
      if (!this.offsets.has(segment.sha256)) this.offsets.set(segment.sha256, offset);
    }
  }

  /** @param {Segment} segment */
  offsetOf(segment) {
    return this.offsets.get(segment.sha256) ?? 0;
  }

  /** Media time of a wall instant. @param {number} ms */
  mediaOf(ms) {
    return (ms - this.origin) / 1000;
  }

  /** Wall instant of a media time. @param {number} seconds */
  wallOf(seconds) {
    return this.origin + seconds * 1000;
  }

  /** Load what is at a wall instant and what follows it. @param {number} ms */
  async load(ms) {
    const generation = (this.generation += 1);
    await this.opened;
    const index = this.lane.segments.findIndex((segment) => ms < segment.to_ms);
    if (index < 0) return;
    for (const segment of this.lane.segments.slice(index, index + AHEAD)) {
      if (generation !== this.generation) return;
      if (segment.state === "verified" && !this.loaded.has(segment.sha256)) await this.fetch(segment);
    }
    await this.forget(this.mediaOf(ms));
  }

  /** @param {Segment} segment */
  async fetch(segment) {
    /** @type {Loaded} */
    const entry = { segment, frames: [] };
    this.loaded.set(segment.sha256, entry);
    try {
      const data = await this.read(segment);
      const picture = readPicture(data);
      if (!picture) throw new Error(`segment ${segment.number} holds no picture`);
      const offset = this.offsetOf(segment);
      entry.frames = picture.times.map((time) => time / picture.scale + offset);
      await this.append(data, picture.codecs, offset);
    } catch (error) {
      this.loaded.delete(segment.sha256);
      if (error instanceof Error) this.onfailure(error);
    }
  }

  /** Read a segment inside a recorded playback; begin it again if the hub has forgotten it. @param {Segment} segment */
  async read(segment) {
    this.view ??= this.begin();
    await this.view;
    try {
      return await (await send("GET", `segments/${segment.sha256}`)).arrayBuffer();
    } catch (error) {
      if (!(error instanceof Refusal) || error.kind !== "forbidden") throw error;
      this.view = this.begin();
      await this.view;
      return await (await send("GET", `segments/${segment.sha256}`)).arrayBuffer();
    }
  }

  async begin() {
    return /** @type {string} */ ((await call("POST", `tasks/${part(this.task)}/playbacks`)).view);
  }

  /** @param {ArrayBuffer} data @param {string} codecs @param {number} offset */
  append(data, codecs, offset) {
    return this.next(async () => {
      const kind = `video/mp4; codecs="${codecs}"`;
      if (!MediaSource.isTypeSupported(kind)) throw new Error(`this browser cannot play ${codecs}`);
      if (!this.buffer) {
        this.buffer = this.media.addSourceBuffer(kind);
        const last = this.lane.segments[this.lane.segments.length - 1];
        if (last) this.media.duration = Math.max(this.mediaOf(last.to_ms) + 60, 1);
      } else if (codecs !== this.codecs) this.buffer.changeType(kind);
      this.codecs = codecs;
      this.buffer.timestampOffset = offset;
      this.buffer.appendBuffer(data);
    });
  }

  /** Let go of what is far from the cursor. @param {number} seconds */
  async forget(seconds) {
    for (const [key, { segment }] of [...this.loaded]) {
      const [from, to] = [this.mediaOf(segment.from_ms), this.mediaOf(segment.to_ms)];
      if (to > seconds - BEHIND_S && from < seconds + BEFORE_S) continue;
      this.loaded.delete(key);
      await this.next(async () => this.buffer?.remove(Math.max(0, from), Math.max(0.001, to)));
    }
  }

  /** Do one thing to the buffer after another. @param {() => Promise<void>} work */
  next(work) {
    const done = this.turn.then(async () => {
      await work();
      const buffer = this.buffer;
      if (buffer?.updating) await new Promise((resolve) => buffer.addEventListener("updateend", resolve, { once: true }));
      if (this.video.error) throw new Error(this.video.error.message);
    });
    this.turn = done.catch(() => undefined);
    return done;
  }

  /** The media time of the frame shown at `seconds`, of the one before it and of the one after it, as far as they are loaded. @param {number} seconds */
  framesAround(seconds) {
    const frames = [...this.loaded.values()].flatMap((entry) => entry.frames).sort((one, other) => one - other);
    let at = -1;
    while (at + 1 < frames.length && /** @type {number} */ (frames[at + 1]) <= seconds + 0.0005) at += 1;
    return { before: frames[at - 1] ?? null, shown: frames[at] ?? null, after: frames[at + 1] ?? null };
  }

  close() {
    this.generation += 1;
    void this.view?.then((view) => call("DELETE", `playbacks/${part(view)}`)).catch(() => undefined);
    this.view = null;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.address);
  }
}
