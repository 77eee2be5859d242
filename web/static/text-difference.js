// Two texts line by line: what was taken out, what came in, and where nothing changed for long, how much is left out.
import { fill, h } from "./dom.js";
import { t } from "./words.js";

/** @typedef {{sign: " " | "-" | "+", text: string}} Line */

const NEAR = 3; // unchanged lines that are shown around a change
const MOST = 4_000_000; // cells of the table that is reckoned; beyond it whole blocks are told as changed

/**
 * Give the lines of two texts with what became of each.
 * @param {string} before
 * @param {string} after
 * @returns {Line[]}
 */
export function difference(before, after) {
  const [a, b] = [before.split("\n"), after.split("\n")];
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const [left, right] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)];
  /** @type {Line[]} */
  const same = a.slice(0, head).map((text) => ({ sign: " ", text }));
  /** @type {Line[]} */
  const rest = a.slice(a.length - tail).map((text) => ({ sign: " ", text }));
  return [...same, ...middle(left, right), ...rest];
}

/** @param {string[]} a @param {string[]} b @returns {Line[]} */
function middle(a, b) {
  if (a.length * b.length > MOST) return [...a.map((text) => /** @type {Line} */ ({ sign: "-", text })), ...b.map((text) => /** @type {Line} */ ({ sign: "+", text }))];
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  /** @param {number} i @param {number} j */
  const at = (i, j) => longest[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1) for (let j = b.length - 1; j >= 0; j -= 1) longest[i * width + j] = a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  /** @type {Line[]} */
  const found = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      found.push({ sign: " ", text: a[i] ?? "" });
      [i, j] = [i + 1, j + 1];
    } else if (i < a.length && (j >= b.length || at(i + 1, j) >= at(i, j + 1))) {
      found.push({ sign: "-", text: a[i] ?? "" });
      i += 1;
    } else {
      found.push({ sign: "+", text: b[j] ?? "" });
      j += 1;
    }
  }
  return found;
}

export class TextDifference extends HTMLElement {
  /** @param {string} before @param {string} after */
  show(before, after) {
    const lines = difference(before, after);
    const near = lines.map((_, at) => lines.slice(Math.max(0, at - NEAR), at + NEAR + 1).some((line) => line.sign !== " "));
    /** @type {Node[]} */
    const shown = [];
    let left = 0;
    lines.forEach((line, at) => {
      if (!near[at]) {
        left += 1;
        return;
      }
      if (left) shown.push(h("div", { class: "left-out" }, t("difference.same", { count: left })));
      left = 0;
      const word = { "+": t("difference.added"), "-": t("difference.removed"), " ": "" }[line.sign];
      const kind = { "+": "ins", "-": "del", " ": "span" }[line.sign];
      shown.push(h(/** @type {"span"} */ (kind), { class: "line" }, h("i", { "aria-hidden": "true" }, line.sign), word && h("span", { class: "unseen" }, `${word}: `), line.text || " "));
    });
    if (left && shown.length) shown.push(h("div", { class: "left-out" }, t("difference.same", { count: left })));
    const changed = lines.filter((line) => line.sign !== " ").length;
    fill(this, changed ? h("div", { class: "scroll lines", tabindex: "0", role: "group", "aria-label": t("difference.title") }, ...shown) : h("p", { class: "soft" }, t("difference.none")));
  }
}

customElements.define("text-difference", TextDifference);
