// How a declaration stands, the same on every page: a badge of colour, shape and word.
import { h } from "./dom.js";
import { t } from "./words.js";

/** @typedef {{issuer: string, epoch: number, position: number}} Place */
/** @typedef {{number: string, state: string, version: number, selected: boolean, held: boolean, holds: string[], enterprise: string, reference: string, lodged_ms: number, changed_ms: number, record: Place}} Declaration */

const GOOD = ["passed", "released", "release-approved", "direct-release", "gate-out", "archived"];
const BAD = ["rejected", "failed", "return", "destroy", "detained", "case-filed", "recalled"];
const WARN = ["rectify", "re-inspect", "treatment", "moved-under-control"];
const OFF = ["withdrawn"];

/** @param {string} state */
export function colourOf(state) {
  if (GOOD.includes(state)) return "good";
  if (BAD.includes(state)) return "bad";
  if (WARN.includes(state)) return "warn";
  return OFF.includes(state) ? "off" : "wait";
}

/** @param {string} state */
export function stateBadge(state) {
  return h("span", { class: `badge ${colourOf(state)}` }, h("i"), t(`declared.${state}`));
}

/** Other authorities' holds, each by name. @param {Declaration} declaration */
export function holdBadges(declaration) {
  return declaration.holds.map((authority) => h("span", { class: "badge bad" }, h("i"), t("declaration.held-by", { authority })));
}
