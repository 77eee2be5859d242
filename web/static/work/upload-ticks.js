// Where something is, in four ticks and one word: on the phone, on the box, in the hub, verified. What a phone sends does not go by way of
// a box, and the tick says so. Green is for what the phone itself verified against the log.
import { h } from "../dom.js";
import { t } from "../words.js";

/** @typedef {import("./store.js").KeptAct} KeptAct */
/** @typedef {import("./store.js").KeptFile} KeptFile */

/** @param {"phone" | "hub" | "verified" | "refused"} state @param {string} [about] */
export function uploadTicks(state, about = "") {
  const reached = { refused: 1, phone: 1, hub: 3, verified: 4 }[state];
  const marks = [1, 2, 3, 4].map((step) => h("i", { class: step === 2 ? "none" : step <= reached ? "reached" : "open" }, step === 2 ? "–" : step <= reached ? "✓" : "○"));
  return h(
    "span",
    { class: `work-ticks ${state}`, "data-state": state, title: about || t("work.ticks-about") },
    h("span", { "aria-hidden": "true" }, ...marks),
    t(`work.at-${state}`),
  );
}

/** @param {KeptAct} act */
export function actTicks(act) {
  return uploadTicks(act.state === "waiting" ? "phone" : act.state === "in-hub" ? "hub" : act.state, act.why);
}

/** @param {KeptFile} file */
export function fileTicks(file) {
  return uploadTicks(file.why ? "refused" : file.state, file.why);
}
