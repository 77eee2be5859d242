// One lane per camera and recorder over time, with the four evidence states; wheel zooms, drag pans, click seeks.
import { fill, h } from "./dom.js";
import { isSegment, pieceAt } from "./evidence-lane.js";
import { evidenceState } from "./evidence-state.js";
import { clock, known, stretch, t } from "./words.js";

/** @typedef {import("./evidence-lane.js").Timeline} Timeline */
/** @typedef {import("./evidence-lane.js").Lane} Lane */
/** @typedef {import("./evidence-lane.js").Piece} Piece */
/** @typedef {import("./evidence-state.js").State} State */

const AXIS = 26;
const LANE = 46;
const NARROW_LANE = 62;
const NARROW = 560; // narrower than this a lane's name stands above it
const CAPTION = 28;
const BAR = 24;
const NEAREST_MS = 1000;
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

/** Dispatches `seek` (detail {stream, ms}) and `choose` (detail {stream, piece}). */
export class EvidenceTimeline extends HTMLElement {
  constructor() {
    super();
    /** @type {Timeline | null} */
    this.line = null;
    this.from = 0;
    this.to = 1;
    this.zoomed = false;
    /** @type {number | null} */
    this.cursor = null;
    this.chosen = "";
    this.canvas = h("canvas", { role: "img", tabindex: "0" });
    this.hint = h("div", { class: "hint hidden" });
    this.legend = h("div", { class: "legend" });
    /** @type {{x: number, from: number, to: number, moved: boolean} | null} */
    this.drag = null;
    this.resized = new ResizeObserver(() => this.draw());
  }

  connectedCallback() {
    fill(this, this.canvas, this.hint, this.legend);
    fill(
      this.legend,
      ...["verified", "pending", "gap", "unknown", "failed", "disposed"].map((state) => evidenceState(/** @type {State} */ (state))),
      h("span", { class: "recovered-mark" }, h("i"), t("segment.recovered")),
      h(
        "span",
        { class: "tools" },
        h("button", { title: t("timeline.in"), onclick: () => this.zoom(0.5, 0.5) }, "+"),
        h("button", { title: t("timeline.out"), onclick: () => this.zoom(2, 0.5) }, "−"),
        h("button", { onclick: () => this.whole() }, t("timeline.whole")),
      ),
    );
    this.canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    this.canvas.addEventListener("pointermove", (event) => this.onMove(event));
    this.canvas.addEventListener("pointerup", (event) => this.onUp(event));
    this.canvas.addEventListener("pointerleave", () => this.hint.classList.add("hidden"));
    this.resized.observe(this);
    this.draw();
  }

  disconnectedCallback() {
    this.resized.disconnect();
  }

  /** @param {Timeline} line */
  show(line) {
    this.line = line;
    if (!this.zoomed) [this.from, this.to] = [line.from_ms, Math.max(line.to_ms, line.from_ms + NEAREST_MS)];
    this.canvas.setAttribute("aria-label", t("timeline.label", { lanes: line.lanes.length }));
    this.draw();
  }

  /** @param {string} stream @param {number} ms */
  point(stream, ms) {
    this.chosen = stream;
    this.cursor = ms;
    this.draw();
  }

  whole() {
    this.zoomed = false;
    if (this.line) this.show(this.line);
  }

  get narrow() {
    return this.clientWidth < NARROW;
  }

  get left() {
    return this.narrow ? 0 : 170;
  }

  get laneHeight() {
    return this.narrow ? NARROW_LANE : LANE;
  }

  /** @param {number} ms */
  xOf(ms) {
    return this.left + ((ms - this.from) / (this.to - this.from)) * (this.clientWidth - this.left);
  }

  /** @param {number} x */
  msAt(x) {
    return this.from + ((x - this.left) / (this.clientWidth - this.left)) * (this.to - this.from);
  }

  /** @param {number} y */
  laneAt(y) {
    return this.line?.lanes[Math.floor((y - AXIS) / this.laneHeight)] ?? null;
  }

  /** @param {number} factor @param {number} share where on the axis stays in place */
  zoom(factor, share) {
    if (!this.line) return;
    const [least, most] = [this.line.from_ms, Math.max(this.line.to_ms, this.line.from_ms + NEAREST_MS)];
    const width = Math.min(most - least, Math.max(NEAREST_MS, (this.to - this.from) * factor));
    const still = this.from + (this.to - this.from) * share;
    this.from = Math.min(Math.max(least, still - width * share), most - width);
    this.to = this.from + width;
    this.zoomed = width < most - least;
    this.draw();
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    event.preventDefault();
    const share = Math.min(1, Math.max(0, (event.offsetX - this.left) / (this.clientWidth - this.left)));
    if (event.shiftKey) this.pan((event.deltaY / 600) * (this.to - this.from));
    else this.zoom(Math.exp(event.deltaY / 400), share);
  }

  /** @param {number} ms */
  pan(ms) {
    if (!this.line) return;
    const width = this.to - this.from;
    this.from = Math.min(Math.max(this.line.from_ms, this.from + ms), Math.max(this.line.from_ms, this.line.to_ms - width));
    this.to = this.from + width;
    this.draw();
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    this.drag = { x: event.offsetX, from: this.from, to: this.to, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (this.drag && Math.abs(event.offsetX - this.drag.x) > 4) this.drag.moved = true;
    if (this.drag?.moved) {
      const width = this.drag.to - this.drag.from;
      const shift = ((this.drag.x - event.offsetX) / (this.clientWidth - this.left)) * width;
      this.from = this.drag.from;
      this.to = this.drag.to;
      this.pan(shift);
    } else this.drawHint(event);
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    const moved = this.drag?.moved ?? false;
    this.drag = null;
    const lane = this.laneAt(event.offsetY);
    if (moved || !lane || event.offsetX < this.left) return;
    const ms = this.msAt(event.offsetX);
    this.dispatchEvent(new CustomEvent("seek", { detail: { stream: lane.stream, ms, play: true } }));
    this.dispatchEvent(new CustomEvent("choose", { detail: { stream: lane.stream, piece: pieceAt(lane, ms) } }));
  }

  /** @param {PointerEvent} event */
  drawHint(event) {
    const lane = this.laneAt(event.offsetY);
    this.hint.classList.toggle("hidden", !lane || event.offsetX < this.left);
    if (!lane) return;
    const ms = this.msAt(event.offsetX);
    const piece = pieceAt(lane, ms);
    fill(this.hint, h("div", {}, `${clock(ms, true)} · ${lane.stream}`), piece && h("div", {}, describe(piece)));
    this.hint.style.left = `${Math.min(event.offsetX + 12, this.clientWidth - 230)}px`;
    this.hint.style.top = `${event.offsetY + 14}px`;
  }

  draw() {
    const lanes = this.line?.lanes ?? [];
    const [width, height] = [this.clientWidth, AXIS + Math.max(1, lanes.length) * this.laneHeight];
    const paint = this.canvas.getContext("2d");
    if (!paint || !width) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    paint.scale(ratio, ratio);
    const style = getComputedStyle(this);
    const colour = (/** @type {string} */ name) => style.getPropertyValue(`--${name}`).trim();
    paint.font = `13px ${style.fontFamily}`;
    paint.textBaseline = "middle";
    this.drawAxis(paint, width, height, colour);
    lanes.forEach((lane, index) => this.drawLane(paint, lane, AXIS + index * this.laneHeight, width, colour));
    if (!lanes.length) {
      paint.fillStyle = colour("soft");
      paint.fillText(t("timeline.empty"), 14, AXIS + this.laneHeight / 2);
    }
    this.drawCursor(paint, height, colour);
  }

  /** @param {CanvasRenderingContext2D} paint @param {number} width @param {number} height @param {(name: string) => string} colour */
  drawAxis(paint, width, height, colour) {
    const perLabel = ((this.to - this.from) / 1000) * (90 / Math.max(1, width - this.left));
    const step = (STEPS_S.find((seconds) => seconds >= perLabel) ?? 86400) * 1000;
    paint.strokeStyle = colour("line");
    paint.fillStyle = colour("soft");
    for (let at = Math.ceil(this.from / step) * step; at <= this.to; at += step) {
      const x = Math.round(this.xOf(at)) + 0.5;
      paint.beginPath();
      paint.moveTo(x, AXIS - 6);
      paint.lineTo(x, height);
      paint.stroke();
      if (x < width - 60) paint.fillText(clock(at, step < 1000), x + 4, AXIS / 2);
    }
  }

  /** @param {CanvasRenderingContext2D} paint @param {Lane} lane @param {number} y @param {number} width @param {(name: string) => string} colour */
  drawLane(paint, lane, y, width, colour) {
    const height = this.laneHeight;
    const top = this.narrow ? y + CAPTION : y + (height - BAR) / 2;
    if (lane.stream === this.chosen) {
      paint.fillStyle = colour("shade");
      paint.fillRect(0, y, width, height);
    }
    paint.save();
    paint.beginPath();
    paint.rect(this.left, y, width - this.left, height);
    paint.clip();
    for (const [from, to] of lane.linked) {
      paint.fillStyle = colour("line");
      paint.fillRect(this.xOf(from), top + BAR + 3, Math.max(1, this.xOf(Math.min(to, this.line?.to_ms ?? to)) - this.xOf(from)), 2);
    }
    for (const piece of [...lane.gaps, ...lane.segments]) this.drawPiece(paint, piece, top, colour);
    paint.restore();
    this.drawCaption(paint, lane, y, width, colour);
  }

  /** @param {CanvasRenderingContext2D} paint @param {Lane} lane @param {number} y @param {number} width @param {(name: string) => string} colour */
  drawCaption(paint, lane, y, width, colour) {
    const note = `${t(`role.${lane.role}`)} ${lane.coverage.percent.toFixed(1)} %${lane.late ? ` · ${t("task.late")}` : ""}`;
    const name = fitted(paint, lane.stream, this.narrow ? width / 2 : this.left - 14);
    const [x, down] = this.narrow ? [18 + paint.measureText(name).width, 15] : [10, 33];
    if (this.narrow) {
      paint.fillStyle = colour(lane.stream === this.chosen ? "shade" : "surface"); // the axis runs behind the words
      paint.fillRect(0, y + 4, x + paint.measureText(note).width + 6, 22);
    }
    paint.fillStyle = colour("ink");
    paint.fillText(name, 10, y + (this.narrow ? 15 : 16));
    paint.fillStyle = colour("soft");
    paint.fillText(fitted(paint, note, this.narrow ? width - x - 6 : this.left - 14), x, y + down);
  }

  /** @param {CanvasRenderingContext2D} paint @param {Piece} piece @param {number} top @param {(name: string) => string} colour */
  drawPiece(paint, piece, top, colour) {
    const x = this.xOf(piece.from_ms);
    const end = this.xOf(piece.to_ms);
    if (end < this.left || x > this.clientWidth) return;
    const wide = Math.max(2, end - x - (end - x > 6 ? 1 : 0));
    paint.strokeStyle = paint.fillStyle = colour(piece.state);
    paint.lineWidth = 1.5;
    paint.save();
    paint.beginPath();
    paint.rect(x, top, wide, BAR);
    if (piece.state === "verified") paint.fill();
    else {
      if (piece.state === "gap") paint.setLineDash([4, 3]);
      if (piece.state === "unknown") paint.setLineDash([2, 3]);
      paint.stroke();
      paint.setLineDash([]);
      paint.clip();
      if (piece.state === "pending") hatch(paint, x, top, wide);
      if (piece.state === "failed") cross(paint, x, top, wide);
      if (piece.state === "unknown") dots(paint, x, top, wide);
    }
    paint.restore();
    if (isSegment(piece) && piece.recovered && wide > 8) {
      paint.fillStyle = colour("warn");
      paint.fillRect(x, top + BAR - 4, wide, 4);
    }
    if (!isSegment(piece) && wide > 60) {
      const words = fitted(paint, causeOf(piece), wide - 14);
      paint.fillStyle = colour("surface"); // words are not read through a pattern
      paint.fillRect(x + 4, top + 3, paint.measureText(words).width + 6, BAR - 6);
      paint.fillStyle = colour(piece.state);
      paint.fillText(words, x + 7, top + BAR / 2);
    }
  }

  /** @param {CanvasRenderingContext2D} paint @param {number} height @param {(name: string) => string} colour */
  drawCursor(paint, height, colour) {
    if (this.cursor === null || this.cursor < this.from || this.cursor > this.to) return;
    const x = this.xOf(this.cursor);
    paint.fillStyle = colour("accent");
    paint.fillRect(x - 1, AXIS - 8, 2, height);
    paint.beginPath();
    paint.moveTo(x - 6, AXIS - 12);
    paint.lineTo(x + 6, AXIS - 12);
    paint.lineTo(x, AXIS - 3);
    paint.fill();
  }
}

/** @param {CanvasRenderingContext2D} paint @param {number} x @param {number} top @param {number} wide */
function hatch(paint, x, top, wide) {
  paint.beginPath();
  for (let at = Math.max(x, -20) - BAR; at < Math.min(x + wide, 5000); at += 7) {
    paint.moveTo(at, top + BAR);
    paint.lineTo(at + BAR, top);
  }
  paint.stroke();
}

/** @param {CanvasRenderingContext2D} paint @param {number} x @param {number} top @param {number} wide */
function cross(paint, x, top, wide) {
  paint.beginPath();
  const step = Math.max(10, Math.min(wide, BAR));
  for (let at = x; at < Math.min(x + wide, 5000); at += step) {
    paint.moveTo(at, top);
    paint.lineTo(at + step, top + BAR);
    paint.moveTo(at + step, top);
    paint.lineTo(at, top + BAR);
  }
  paint.stroke();
}

/** @param {CanvasRenderingContext2D} paint @param {number} x @param {number} top @param {number} wide */
function dots(paint, x, top, wide) {
  for (let at = Math.max(x, -20) + 5; at < Math.min(x + wide, 5000); at += 8)
    for (const down of [5, BAR - 5]) paint.fillRect(at, top + down, 1.5, 1.5);
}

/** Why there is no video, or that this is not known. @param {import("./evidence-lane.js").Gap} gap */
function causeOf(gap) {
  return gap.state === "unknown" ? t("state.unknown") : known("cause", gap.cause);
}

/** @param {CanvasRenderingContext2D} paint @param {string} text @param {number} wide */
function fitted(paint, text, wide) {
  if (paint.measureText(text).width <= wide) return text;
  let shown = text;
  while (shown.length > 1 && paint.measureText(`${shown}…`).width > wide) shown = shown.slice(0, -1);
  return `${shown}…`;
}

/** Say what a piece is in one line. @param {Piece} piece */
export function describe(piece) {
  const span = `${clock(piece.from_ms)} – ${clock(piece.to_ms)} (${stretch(piece.to_ms - piece.from_ms)})`;
  if (!isSegment(piece)) return piece.state === "unknown" ? `${t("state.unknown")} ${span}` : `${t(`state.${piece.state}`)}${t("app.colon")}${known("cause", piece.cause)} ${span}`;
  return `${t(`state.${piece.state}`)} #${piece.number} ${span}${piece.recovered ? ` · ${t("segment.recovered")}` : ""}`;
}

customElements.define("evidence-timeline", EvidenceTimeline);
