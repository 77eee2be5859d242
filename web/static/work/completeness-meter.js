// The ring: how much is there of how much is wanted. Red while anything is missing, green when nothing is; the number says it too.
import { t } from "../words.js";

const SVG = "http://www.w3.org/2000/svg";
const AROUND = 2 * Math.PI * 20;

/** @param {number} have @param {number} want */
export function completenessMeter(have, want) {
  const ring = document.createElementNS(SVG, "svg");
  const full = want > 0 && have >= want;
  ring.setAttribute("viewBox", "0 0 48 48");
  ring.setAttribute("class", `work-ring ${full ? "full" : "open"}`);
  ring.setAttribute("role", "img");
  ring.setAttribute("aria-label", want ? t("work.meter", { have, want }) : t("work.meter-unknown"));
  const share = want ? have / want : 0;
  ring.append(
    part("circle", { cx: 24, cy: 24, r: 20, class: "ground" }),
    part("circle", { cx: 24, cy: 24, r: 20, class: "done", "stroke-dasharray": `${share * AROUND} ${AROUND}`, transform: "rotate(-90 24 24)" }),
    part("text", { x: 24, y: 28, "text-anchor": "middle" }, full ? "✓" : want ? `${Math.floor(share * 100)}%` : "–"),
  );
  return ring;
}

/** @param {string} name @param {Record<string, string | number>} attributes @param {string} [text] */
function part(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.textContent = text;
  return element;
}
