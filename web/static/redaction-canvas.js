// Draw rectangles on the paused picture, and show those that count at the shown instant; places are 1/10000 of the picture.
import { h } from "./dom.js";

/** @typedef {[number, number, number, number]} Edges left, top, right, bottom */
/** @typedef {{edges: Edges, label: string, tone: "drawn" | "proposed" | "rejected"}} Shown */

const SCALE = 10000;
const LEAST = 50;
const TONES = { drawn: "#ff8a80", proposed: "#f0b35c", rejected: "#9aa6a2" };

/** Lies over a player's screen; dispatches `drawn` (detail: Edges) while `active`. */
export class RedactionCanvas extends HTMLElement {
  constructor() {
    super();
    /** @type {HTMLVideoElement | null} */
    this.video = null;
    /** @type {Shown[]} */
    this.shown = [];
    /** @type {[number, number] | null} */
    this.start = null;
    /** @type {Edges | null} */
    this.fresh = null;
    this.canvas = h("canvas", {});
    this.resized = new ResizeObserver(() => this.draw());
  }

  connectedCallback() {
    Object.assign(this.style, { position: "absolute", inset: "0", display: "block" });
    Object.assign(this.canvas.style, { width: "100%", height: "100%", touchAction: "none" });
    this.replaceChildren(this.canvas);
    this.setActive(false);
    this.canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    this.canvas.addEventListener("pointermove", (event) => this.onMove(event));
    this.canvas.addEventListener("pointerup", () => this.onUp());
    this.resized.observe(this);
  }

  disconnectedCallback() {
    this.resized.disconnect();
  }

  /** @param {boolean} active */
  setActive(active) {
    this.style.pointerEvents = active ? "auto" : "none";
    this.canvas.style.cursor = active ? "crosshair" : "default";
    this.start = this.fresh = null;
    this.draw();
  }

  /** @param {Shown[]} shown */
  show(shown) {
    this.shown = shown;
    this.draw();
  }

  /** Where the picture itself lies on the screen, which may be wider or higher. */
  get picture() {
    const [wide, high] = [this.video?.videoWidth || 16, this.video?.videoHeight || 9];
    const factor = Math.min(this.clientWidth / wide, this.clientHeight / high);
    return { left: (this.clientWidth - wide * factor) / 2, top: (this.clientHeight - high * factor) / 2, width: wide * factor, height: high * factor };
  }

  /** @param {PointerEvent} event @returns {[number, number]} */
  placeOf(event) {
    const { left, top, width, height } = this.picture;
    const bound = (/** @type {number} */ share) => Math.round(Math.min(1, Math.max(0, share)) * SCALE);
    return [bound((event.offsetX - left) / width), bound((event.offsetY - top) / height)];
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.start = this.placeOf(event);
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (!this.start) return;
    const [x, y] = this.placeOf(event);
    this.fresh = [Math.min(x, this.start[0]), Math.min(y, this.start[1]), Math.max(x, this.start[0]), Math.max(y, this.start[1])];
    this.draw();
  }

  onUp() {
    const found = this.fresh;
    this.start = this.fresh = null;
    if (found && found[2] - found[0] >= LEAST && found[3] - found[1] >= LEAST) this.dispatchEvent(new CustomEvent("drawn", { detail: found }));
    this.draw();
  }

  draw() {
    const paint = this.canvas.getContext("2d");
    if (!paint) return;
    this.canvas.width = this.clientWidth;
    this.canvas.height = this.clientHeight;
    for (const one of this.shown) this.outline(paint, one.edges, TONES[one.tone], one.label);
    if (this.fresh) this.outline(paint, this.fresh, "#ffffff", "");
  }

  /** @param {CanvasRenderingContext2D} paint @param {Edges} edges @param {string} colour @param {string} label */
  outline(paint, edges, colour, label) {
    const { left, top, width, height } = this.picture;
    const [x, y] = [left + (edges[0] / SCALE) * width, top + (edges[1] / SCALE) * height];
    const [wide, high] = [((edges[2] - edges[0]) / SCALE) * width, ((edges[3] - edges[1]) / SCALE) * height];
    paint.fillStyle = "rgba(0, 0, 0, .55)";
    paint.fillRect(x, y, wide, high);
    paint.strokeStyle = paint.fillStyle = colour;
    paint.lineWidth = 2;
    paint.strokeRect(x, y, wide, high);
    paint.fillText(label, x + 4, y + 14);
  }
}

customElements.define("redaction-canvas", RedactionCanvas);
