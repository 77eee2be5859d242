// The evidence states, by colour and shape and word, the same everywhere.
import { t } from "./words.js";

/** @typedef {"verified" | "pending" | "gap" | "failed" | "disposed" | "unknown"} State */

const SVG = "http://www.w3.org/2000/svg";

/** @type {Record<State, [string, Record<string, string>][]>} */
const SHAPES = {
  verified: [["rect", { x: "1", y: "3", width: "14", height: "10", rx: "1", fill: "currentColor" }]],
  pending: [
    ["rect", { x: "1.75", y: "3.75", width: "12.5", height: "8.5", rx: "1", fill: "none", stroke: "currentColor", "stroke-width": "1.5" }],
    ["path", { d: "M4 12l6-8M8 12l6-8M2 8l3-4", stroke: "currentColor", "stroke-width": "1.4", fill: "none" }],
  ],
  gap: [["rect", { x: "1.75", y: "3.75", width: "12.5", height: "8.5", rx: "1", fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-dasharray": "3 2" }]],
  disposed: [
    ["rect", { x: "1.75", y: "3.75", width: "12.5", height: "8.5", rx: "1", fill: "none", stroke: "currentColor", "stroke-width": "1.5" }],
    ["path", { d: "M4 8h8", stroke: "currentColor", "stroke-width": "1.8", fill: "none" }],
  ],
  unknown: [
    ["rect", { x: "1.75", y: "3.75", width: "12.5", height: "8.5", rx: "1", fill: "none", stroke: "currentColor", "stroke-width": "1.5", "stroke-dasharray": "1.5 2" }],
    ["path", { d: "M4.5 8h.01M8 8h.01M11.5 8h.01", stroke: "currentColor", "stroke-width": "2", "stroke-linecap": "round" }],
  ],
  failed: [
    ["rect", { x: "1.75", y: "3.75", width: "12.5", height: "8.5", rx: "1", fill: "none", stroke: "currentColor", "stroke-width": "1.5" }],
    ["path", { d: "M2 4l12 8M14 4L2 12", stroke: "currentColor", "stroke-width": "1.8", fill: "none" }],
  ],
};

/** A state's sign with its word. Attributes: `state`, and `word` to say another than the usual one. */
export class EvidenceState extends HTMLElement {
  static observedAttributes = ["state", "word"];

  connectedCallback() {
    this.draw();
  }

  attributeChangedCallback() {
    if (this.isConnected) this.draw();
  }

  draw() {
    const state = /** @type {State} */ (this.getAttribute("state") ?? "pending");
    const sign = document.createElementNS(SVG, "svg");
    sign.setAttribute("viewBox", "0 0 16 16");
    sign.setAttribute("aria-hidden", "true");
    for (const [name, attributes] of SHAPES[state] ?? SHAPES.pending) {
      const part = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
      sign.append(part);
    }
    this.replaceChildren(sign, this.getAttribute("word") ?? t(`state.${state}`));
  }
}

customElements.define("evidence-state", EvidenceState);

/** Make one. @param {State} state @param {string} [word] */
export function evidenceState(state, word) {
  const sign = new EvidenceState();
  sign.setAttribute("state", state);
  if (word) sign.setAttribute("word", word);
  return sign;
}
