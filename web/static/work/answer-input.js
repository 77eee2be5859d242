// The ways to answer, by type: big buttons, numeric pads with limits and units, the clock, the place, codes, files, a drawn signature.
// Nothing is chosen beforehand. Decimals stay texts, as they were typed.
import { fill, h } from "../dom.js";
import { t } from "../words.js";
import { takeButtons } from "./capture.js";
import { scanCode } from "./code-scanner.js";
import { named, sayValue } from "./saying.js";
import { SignaturePad } from "./signature-pad.js";

/** @typedef {import("./procedure.js").Item} Item */
/** @typedef {import("./files.js").FileKind} FileKind */
/** @typedef {(kind: FileKind, blob: Blob, name: string) => Promise<string>} Keep */

const GPS_WAIT_MS = 20_000;

export class AnswerInput extends HTMLElement {
  /** @param {Item} item @param {(value: any) => void} told @param {{keep: Keep}} more */
  constructor(item, told, more) {
    super();
    this.item = item;
    this.told = told;
    this.more = more;
    /** @type {any} */
    this.value = undefined;
  }

  /** Show it, with what was drafted. @param {any} value */
  show(value) {
    this.value = value;
    fill(this, ...this.parts());
  }

  /** @param {any} value */
  give(value) {
    this.value = value;
    this.told(value);
  }

  /** @returns {(Node | null)[]} */
  parts() {
    const { type } = this.item;
    if (type === "choice" || type === "multi") return [this.options()];
    if (type === "number") return [this.number()];
    if (type === "text") return [this.text()];
    if (type === "date-time") return this.time();
    if (type === "gps") return this.place();
    if (type === "barcode") return this.code();
    if (type === "signature") return [this.signature()];
    return [takeButtons([type], async (kind, blob, name) => void (await this.more.keep(kind, blob, name)))];
  }

  options() {
    const several = this.item.type === "multi";
    const chosen = () => new Set(several ? (this.value ?? []) : this.value === undefined ? [] : [this.value]);
    const buttons = (this.item.options ?? []).map((option) =>
      h(
        "button",
        { type: "button", class: `work-option ${option.fails ? "fails" : ""}`, role: several ? "checkbox" : "radio", "aria-checked": String(chosen().has(option.key)), "data-option": option.key, onclick: () => choose(option.key) },
        named(option),
      ),
    );
    const choose = (/** @type {string} */ key) => {
      const now = chosen();
      const had = now.delete(key);
      if (!several) now.clear();
      if (!had) now.add(key);
      this.give(several ? [...now].sort() : [...now][0]);
      for (const button of buttons) button.setAttribute("aria-checked", String(now.has(button.dataset["option"])));
    };
    return h("div", { class: "work-options", role: several ? "group" : "radiogroup", "aria-label": named(this.item) }, ...buttons);
  }

  number() {
    const { unit, places = 0, least } = this.item;
    const signed = least === undefined || least.startsWith("-");
    const input = h("input", { type: "text", inputmode: places ? "decimal" : "numeric", autocomplete: "off", value: this.value ?? "", "aria-label": named(this.item), oninput: () => this.give(plain(input.value)) });
    const flip = h("button", { type: "button", "aria-label": t("work.sign"), onclick: () => ((input.value = input.value.startsWith("-") ? input.value.slice(1) : `-${input.value}`), this.give(plain(input.value))) }, "±");
    return h("div", { class: "work-number" }, signed && flip, input, unit && h("span", { class: "unit" }, unit));
  }

  text() {
    const area = h("textarea", { rows: "2", maxlength: "4000", "aria-label": named(this.item), oninput: () => this.give(area.value.trim() ? area.value : "") });
    area.value = this.value ?? "";
    return area;
  }

  time() {
    const said = h("strong", { class: "grow" }, this.value ? sayValue(this.item, this.value) : "—");
    const input = h("input", { type: "datetime-local", step: "1", "aria-label": named(this.item), onchange: () => input.value && set(new Date(input.value)) });
    const set = (/** @type {Date} */ when) => {
      this.give(localTime(when));
      said.textContent = sayValue(this.item, this.value);
    };
    return [h("div", { class: "row" }, said, h("button", { type: "button", class: "primary", "data-now": true, onclick: () => set(new Date()) }, t("work.now"))), h("details", {}, h("summary", {}, t("work.other-time")), input)];
  }

  place() {
    const said = h("strong", { class: "grow" }, this.value ? sayValue(this.item, this.value) : "—");
    const button = h("button", { type: "button", class: "primary", onclick: () => ask() }, t("work.locate"));
    const ask = () => {
      button.disabled = true;
      said.textContent = t("work.locating");
      navigator.geolocation.getCurrentPosition(
        ({ coords }) => {
          this.give({ latitude: Math.round(coords.latitude * 1e6), longitude: Math.round(coords.longitude * 1e6), accuracy_m: Math.round(coords.accuracy) });
          said.textContent = sayValue(this.item, this.value);
          button.disabled = false;
        },
        () => {
          said.textContent = t("work.no-place");
          button.disabled = false;
        },
        { enableHighAccuracy: true, timeout: GPS_WAIT_MS },
      );
    };
    return [h("div", { class: "row" }, said, button)];
  }

  code() {
    const input = h("input", { type: "text", autocomplete: "off", autocapitalize: "characters", value: this.value ?? "", "aria-label": named(this.item), oninput: () => this.give(input.value.trim()) });
    const scan = async () => {
      const found = await scanCode(named(this.item), (text) => (text ? null : t("work.fault-code")));
      if (found === null) return;
      input.value = found;
      this.give(found);
    };
    return [h("div", { class: "row work-code" }, h("div", { class: "grow" }, input), h("button", { type: "button", onclick: () => void scan() }, t("work.scan")))];
  }

  signature() {
    return new SignaturePad({
      value: this.value,
      drawn: async (blob, name) => this.give({ drawn: await this.more.keep("signature", blob, "signature.png"), name }),
      refused: (reason) => this.give({ refused: reason }),
    });
  }
}

/** A number as it is kept: full-width digits and commas become plain ones. @param {string} typed */
function plain(typed) {
  const narrow = typed.normalize("NFKC").trim().replace(",", ".").replace(/^\+/, "").replace(/^(-?)\./, "$10.").replace(/\.$/, "");
  return narrow.replace(/^(-?)0+(?=\d)/, "$1").replace(/^-(0(\.0*)?)$/, "$1");
}

/** @param {Date} when */
function localTime(when) {
  const minutes = -when.getTimezoneOffset();
  const two = (/** @type {number} */ value) => String(value).padStart(2, "0");
  const shifted = new Date(when.getTime() + minutes * 60_000).toISOString().slice(0, 19);
  return `${shifted}${minutes < 0 ? "-" : "+"}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

customElements.define("answer-input", AnswerInput);
