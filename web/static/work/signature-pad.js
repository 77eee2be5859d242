// A signature drawn with a finger, with its name; or refused, which is an answer with a reason.
import { fill, h } from "../dom.js";
import { t } from "../words.js";

/** @typedef {{value?: any, name?: string, drawn: (blob: Blob, name: string) => void, refused: ((reason: string) => void) | null}} Asks */

const WIDTH = 640;
const HEIGHT = 280;

export class SignaturePad extends HTMLElement {
  /** @param {Asks} asks */
  constructor(asks) {
    super();
    this.asks = asks;
    this.canvas = h("canvas", { width: String(WIDTH), height: String(HEIGHT), class: "work-pad", tabindex: "0", role: "img", "aria-label": t("work.draw-here") });
    this.name = h("input", { name: "signer", maxlength: "200", autocomplete: "name", value: asks.name ?? asks.value?.name ?? "", readonly: asks.name !== undefined });
    this.reason = h("input", { name: "refusal", maxlength: "400", value: asks.value?.refused ?? "" });
    this.strokes = 0;
    this.failure = h("p", { class: "small bad hidden", role: "alert" });
  }

  connectedCallback() {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    this.wipe();
    const at = (/** @type {PointerEvent} */ event) => {
      const box = this.canvas.getBoundingClientRect();
      return /** @type {[number, number]} */ ([((event.clientX - box.left) / box.width) * WIDTH, ((event.clientY - box.top) / box.height) * HEIGHT]);
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      this.canvas.setPointerCapture(event.pointerId);
      pen.beginPath();
      pen.moveTo(...at(event));
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      this.strokes += 1;
      pen.lineTo(...at(event));
      pen.stroke();
    });
    const done = this.asks.value ? h("p", { class: "notice good" }, "drawn" in this.asks.value ? t("work.signed-by", { name: this.asks.value.name }) : t("work.sign-refused", { reason: this.asks.value.refused })) : null;
    fill(
      this,
      done,
      this.canvas,
      h("label", {}, h("span", {}, t("work.signer")), this.name),
      this.failure,
      h("div", { class: "row" }, h("button", { type: "button", class: "primary grow", "data-take": "signature", onclick: () => void this.take() }, t("work.take-signature")), h("button", { type: "button", onclick: () => this.wipe() }, t("work.wipe"))),
      this.asks.refused && h("details", {}, h("summary", {}, t("work.refuses")), h("label", {}, h("span", {}, t("work.refusal-reason")), this.reason), h("button", { type: "button", class: "danger", "data-refuse": true, onclick: () => this.refuse() }, t("work.record-refusal"))),
    );
  }

  wipe() {
    const pen = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, WIDTH, HEIGHT);
    pen.strokeStyle = "#000";
    pen.lineWidth = 4;
    pen.lineCap = pen.lineJoin = "round";
    this.strokes = 0;
  }

  /** @param {string} words */
  complain(words) {
    this.failure.textContent = words;
    this.failure.classList.toggle("hidden", !words);
  }

  async take() {
    const name = this.name.value.trim();
    if (this.strokes < 3) return this.complain(t("work.not-drawn"));
    if (!name) return this.complain(t("work.no-name"));
    this.complain("");
    const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ told) => this.canvas.toBlob(told, "image/png"));
    if (blob) this.asks.drawn(blob, name);
  }

  refuse() {
    const reason = this.reason.value.trim();
    if (!reason) return this.complain(t("work.fault-reason"));
    this.complain("");
    this.asks.refused?.(reason);
  }
}

customElements.define("signature-pad", SignaturePad);
