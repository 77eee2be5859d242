// One lane per camera and recorder over time, with the four evidence states; wheel zooms, drag pans, click seeks.
import { fill, h } from "./dom.js";
import { isSegment, pieceAt } from "./evidence-lane.js";
import { evidenceState } from "./evidence-state.js";
import { isGrave, titleOf } from "./story-words.js";
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
const EVENTS = 26; // height of a lane of events
const REACH = 9; // so near to a pointer counts as under it
const SNAP = 6;
const LOOK_MS = 250; // after the last movement another stretch is asked for
const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];

/** @typedef {import("./story-words.js").StoryEntry} StoryEntry */
/** @typedef {{lane: string, name: string, entries: StoryEntry[]}} EventLane */

/** Dispatches `seek` (detail {stream, ms}), `choose` (detail {stream, piece}), `entry` (detail StoryEntry) and `stretch` (detail {from, to}). */
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
    /** @type {EventLane[]} */
    this.events = [];
    /** @type {Map<number, number>} pointers that are down, by where they are */
    this.fingers = new Map();
    this.spread = 0;
    this.looking = 0;
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
    this.canvas.addEventListener("pointercancel", (event) => this.fingers.delete(event.pointerId));
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("pointerleave", () => this.hint.classList.add("hidden"));
    this.resized.observe(this);
    this.draw();
  }

  disconnectedCallback() {
    this.resized.disconnect();
    clearTimeout(this.looking);
  }

  /** Show what happened beside the video. @param {EventLane[]} events */
  tell(events) {
    this.events = events;
    this.draw();
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

  /** The earliest instant that can be looked at: what was declared came before the task. */
  get least() {
    return Math.min(this.line?.from_ms ?? 0, ...this.events.flatMap((row) => row.entries.slice(0, 1).map((entry) => entry.from_ms)));
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
    const [least, most] = [this.least, Math.max(this.line.to_ms, this.line.from_ms + NEAREST_MS)];
    const width = Math.min(most - least, Math.max(NEAREST_MS, (this.to - this.from) * factor));
    const still = this.from + (this.to - this.from) * share;
    this.from = Math.min(Math.max(least, still - width * share), most - width);
    this.to = this.from + width;
    this.zoomed = true;
    this.look();
    this.draw();
  }

  /** Say, once it stands still, which stretch is looked at. */
  look() {
    clearTimeout(this.looking);
    this.looking = window.setTimeout(() => this.dispatchEvent(new CustomEvent("stretch", { detail: { from: this.from, to: this.to } })), LOOK_MS);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key === "+" || event.key === "=") this.zoom(0.5, 0.5);
    else if (event.key === "-") this.zoom(2, 0.5);
    else if (event.key === "ArrowLeft") this.pan((this.from - this.to) / 10);
    else if (event.key === "ArrowRight") this.pan((this.to - this.from) / 10);
    else return;
    event.preventDefault();
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
    this.from = Math.min(Math.max(this.least, this.from + ms), Math.max(this.least, this.line.to_ms - width));
    this.to = this.from + width;
    this.look();
    this.draw();
  }

  /** Two fingers spread or close: zoom about their middle. */
  pinch() {
    const [one = 0, two = 0] = [...this.fingers.values()];
    const spread = Math.max(10, Math.abs(one - two));
    if (this.spread) this.zoom(this.spread / spread, Math.min(1, Math.max(0, ((one + two) / 2 - this.left) / (this.clientWidth - this.left))));
    this.spread = spread;
  }

  /** The event under a pointer. @param {number} x @param {number} y @returns {StoryEntry | null} */
  eventAt(x, y) {
    const row = this.events[Math.floor((y - AXIS - (this.line?.lanes.length ?? 0) * this.laneHeight) / EVENTS)];
    if (!row || y < AXIS || x < this.left) return null;
    let [best, near] = [/** @type {StoryEntry | null} */ (null), REACH];
    for (const entry of row.entries) {
      const [from, to] = [this.xOf(entry.from_ms), this.xOf(entry.to_ms)];
      const far = x < from ? from - x : Math.max(0, x - to);
      if (far <= near) [best, near] = [entry, far];
    }
    return best;
  }

  /** An instant, drawn to the nearest event where one is close. @param {number} ms */
  snapped(ms) {
    const reach = this.msAt(this.left + SNAP) - this.msAt(this.left);
    const times = this.events.flatMap((row) => row.entries.map((entry) => entry.from_ms)).filter((time) => Math.abs(time - ms) <= reach);
    return times.sort((one, other) => Math.abs(one - ms) - Math.abs(other - ms))[0] ?? ms;
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    this.fingers.set(event.pointerId, event.offsetX);
    this.spread = 0;
    this.drag = { x: event.offsetX, from: this.from, to: this.to, moved: false };
    this.canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, event.offsetX);
    if (this.fingers.size > 1) {
      if (this.drag) this.drag.moved = true;
      return this.pinch();
    }
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
    this.fingers.delete(event.pointerId);
    const entry = moved ? null : this.eventAt(event.offsetX, event.offsetY);
    if (entry) return void this.dispatchEvent(new CustomEvent("entry", { detail: entry }));
    const lane = this.laneAt(event.offsetY);
    if (moved || !lane || event.offsetX < this.left) return;
    const ms = this.snapped(this.msAt(event.offsetX));
    this.dispatchEvent(new CustomEvent("seek", { detail: { stream: lane.stream, ms, play: true } }));
    this.dispatchEvent(new CustomEvent("choose", { detail: { stream: lane.stream, piece: pieceAt(lane, ms) } }));
  }

  /** @param {PointerEvent} event */
  drawHint(event) {
    const lane = this.laneAt(event.offsetY);
    const entry = this.eventAt(event.offsetX, event.offsetY);
    this.hint.classList.toggle("hidden", (!lane && !entry) || event.offsetX < this.left);
    this.hint.style.left = `${Math.max(0, Math.min(event.offsetX + 12, this.clientWidth - 230))}px`;
    this.hint.style.top = `${event.offsetY + 14}px`;
    if (entry) return fill(this.hint, h("div", {}, clock(entry.from_ms, true)), h("div", {}, titleOf(entry)));
    if (!lane) return;
    const ms = this.msAt(event.offsetX);
    const piece = pieceAt(lane, ms);
    fill(this.hint, h("div", {}, `${clock(ms, true)} · ${lane.stream}`), piece && h("div", {}, describe(piece)));
  }

  draw() {
    const lanes = this.line?.lanes ?? [];
    const [width, height] = [this.clientWidth, AXIS + Math.max(this.events.length ? 0 : 1, lanes.length) * this.laneHeight + this.events.length * EVENTS];
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
    const below = AXIS + lanes.length * this.laneHeight;
    this.events.forEach((row, index) => this.drawEvents(paint, row, below + index * EVENTS, width, colour));
    if (!lanes.length && !this.events.length) {
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
    for (const span of lane.spans) this.drawSpan(paint, span, lane.span_ms, top, colour);
    for (const piece of [...lane.gaps, ...lane.segments]) this.drawPiece(paint, piece, top, colour);
    paint.restore();
    this.drawCaption(paint, lane, y, width, colour);
  }

  /** A lane of events: a mark where something happened, a bar where it lasted. @param {CanvasRenderingContext2D} paint @param {EventLane} row @param {number} y @param {number} width @param {(name: string) => string} colour */
  drawEvents(paint, row, y, width, colour) {
    const middle = y + EVENTS / 2;
    paint.fillStyle = colour("line");
    paint.fillRect(this.left, middle, width - this.left, 1);
    paint.save();
    paint.beginPath();
    paint.rect(this.left, y, width - this.left, EVENTS);
    paint.clip();
    for (const entry of row.entries) {
      const [from, to] = [this.xOf(entry.from_ms), this.xOf(entry.to_ms)];
      if (to < this.left - 8 || from > width + 8) continue;
      paint.fillStyle = colour(isGrave(entry) ? "failed" : "accent");
      if (to - from > 6) paint.fillRect(from, middle - 3, to - from, 7);
      paint.beginPath();
      paint.moveTo(from, middle - 7);
      paint.lineTo(from + 6, middle);
      paint.lineTo(from, middle + 7);
      paint.lineTo(from - 6, middle);
      paint.fill();
    }
    paint.restore();
    const name = fitted(paint, row.name, this.narrow ? width / 2 : this.left - 14);
    if (this.narrow) {
      paint.fillStyle = colour("surface");
      paint.fillRect(0, y + 4, paint.measureText(name).width + 14, EVENTS - 8);
    }
    paint.fillStyle = colour("soft");
    paint.fillText(name, 10, middle);
  }

  /** What a span of hours comes to: recorded from below, gaps above it; the state of each piece is seen nearer by. @param {CanvasRenderingContext2D} paint @param {[number, number, number, number]} span @param {number} length @param {number} top @param {(name: string) => string} colour */
  drawSpan(paint, span, length, top, colour) {
    const [from, recorded, gap] = span;
    const [x, wide] = [this.xOf(from), Math.max(1, this.xOf(from + length) - this.xOf(from) - 1)];
    const high = (recorded / length) * BAR;
    paint.fillStyle = colour("soft");
    paint.fillRect(x, top + BAR - high, wide, high);
    paint.strokeStyle = colour("gap");
    if (gap > 0) paint.strokeRect(x, top + BAR - high - (gap / length) * BAR, wide, Math.max(2, (gap / length) * BAR));
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
