// Watch one stream by WHEP: the offer goes out at once, without waiting for ICE candidates; the server's are enough.
import { call, part, send, whoami } from "./api.js";

/** @typedef {{delay: number | null, frames: number, lastFrame: number}} Pulse */

const ASK_MS = 1000;

/** One live view. `open` it into a video element, `close` it; `pulse` tells how it does. */
export class LiveView {
  /** @param {string} stream @param {HTMLVideoElement} video */
  constructor(stream, video) {
    this.stream = stream;
    this.video = video;
    /** @type {RTCPeerConnection | null} */
    this.connection = null;
    /** @type {string | null} */
    this.view = null;
    /** @type {Pulse} */
    this.pulse = { delay: null, frames: 0, lastFrame: 0 };
    this.closed = false;
    /** @type {(failure: string) => void} */
    this.onfailure = () => {};
    /** @type {() => void} */
    this.onframe = () => {};
  }

  async open() {
    const connection = (this.connection = new RTCPeerConnection({ iceServers: await iceServers() }));
    if (this.closed) return this.end();
    connection.addTransceiver("video", { direction: "recvonly" });
    connection.addTransceiver("audio", { direction: "recvonly" });
    const media = new MediaStream();
    connection.addEventListener("track", (event) => {
      media.addTrack(event.track);
      this.video.srcObject = media;
    });
    connection.addEventListener("connectionstatechange", () => {
      if (["failed", "disconnected", "closed"].includes(connection.connectionState) && !this.closed) void this.broke();
    });
    await connection.setLocalDescription(await connection.createOffer());
    if (this.closed) return this.end();
    const [box, source] = this.stream.split("/");
    const answer = await send("POST", `streams/${part(box ?? "")}/${part(source ?? "")}/whep`, connection.localDescription?.sdp ?? "", "application/sdp");
    this.view = answer.headers.get("location")?.split("/").pop() ?? null;
    const sdp = await answer.text();
    if (this.closed) return this.end();
    await connection.setRemoteDescription({ type: "answer", sdp });
    this.watchFrames();
    void this.watchStart();
    void this.video.play().catch(() => undefined);
  }

  /** Ask the hub how the view does until its first picture: it knows why none comes. */
  async watchStart() {
    while (!this.closed && !this.pulse.lastFrame) {
      await new Promise((done) => setTimeout(done, ASK_MS));
      if (this.closed || this.pulse.lastFrame || (await this.hasEnded())) return;
    }
  }

  async broke() {
    if (!(await this.hasEnded()) && !this.closed) this.onfailure("");
  }

  /** Tell a failure in the hub's words when it has ended this view. */
  async hasEnded() {
    const told = this.view ? await call("GET", `views/${part(this.view)}`).catch(() => null) : null;
    const ended = told?.state === "ended";
    if (ended && !this.closed) this.onfailure(told.reason);
    return ended;
  }

  watchFrames() {
    /** @type {(now: number, frame: VideoFrameCallbackMetadata) => void} */
    const seen = (now, frame) => {
      if (this.closed) return;
      this.pulse.frames = frame.presentedFrames;
      this.pulse.lastFrame = Date.now();
      if (frame.captureTime !== undefined) this.pulse.delay = Math.max(0, frame.expectedDisplayTime - frame.captureTime);
      this.onframe();
      this.video.requestVideoFrameCallback(seen);
    };
    this.video.requestVideoFrameCallback(seen);
  }

  /** Estimate the delay from jitter buffer, decoding and the way, where frames carry no capture time. */
  async measure() {
    if (!this.connection || this.closed) return;
    const stats = await this.connection.getStats();
    let held = 0;
    let way = 0;
    stats.forEach((entry) => {
      if (entry.type === "inbound-rtp" && entry.kind === "video" && entry.framesDecoded) {
        held = (1000 * (entry.jitterBufferDelay ?? 0)) / Math.max(1, entry.jitterBufferEmittedCount ?? 1);
        held += (1000 * (entry.totalDecodeTime ?? 0)) / entry.framesDecoded;
      }
      if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) way = 500 * entry.currentRoundTripTime;
    });
    if (held) this.pulse.delay = held + way;
  }

  close() {
    if (this.closed) return;
    this.closed = true;
    this.video.srcObject = null;
    this.end();
  }

  end() {
    this.connection?.close();
    this.connection = null;
    const view = this.view;
    this.view = null;
    if (!view || !whoami()) return; // the hub ends the views of a login that is over
    const told = call("DELETE", `views/${part(view)}`).catch(() => undefined);
    endings.add(told);
    void told.finally(() => endings.delete(told));
  }
}

/** @type {Set<Promise<unknown>>} */
const endings = new Set();

/** Wait until the hub was told of the end of every view that was closed: a log-out comes after them. */
export async function viewsTold() {
  await Promise.allSettled([...endings]);
}

/** @type {Promise<RTCIceServer[]> | null} */
let servers = null;

/** The hub's STUN and TURN servers; none unless its settings name some. @returns {Promise<RTCIceServer[]>} */
function iceServers() {
  servers ??= call("GET", "live/ice").then((answer) => answer.servers).catch(() => []);
  return servers;
}
