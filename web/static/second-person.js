// What two persons do about a version: another login approves or rejects a proposal, two at one desk withdraw what is in force.
import { call, whoami } from "./api.js";
import { h, values } from "./dom.js";
import { moment, named, t } from "./words.js";

/** @typedef {{act: string, position: number, at_ms: number, by: string | null, second: string | null, reason: string | null, rule: string | null}} Act */
/** @typedef {{key: string, version: number, state: string, acts: Act[]}} Reviewed */

const SHAPES = /** @type {Record<string, string>} */ ({ proposed: "wait", approved: "good", published: "good", rejected: "off", withdrawn: "off" });

/** @param {string} state @param {boolean} [isInForce] */
export function stateBadge(state, isInForce = false) {
  return h("span", { class: `badge ${isInForce ? "good" : state === "proposed" ? "wait" : SHAPES[state] === "good" ? "unknown" : "off"}` }, h("i"), isInForce ? t("review.in-force") : t(`review.${state}`));
}

/** Who did what with it, when and why. @param {Act[]} acts @param {Record<string, string>} [names] */
export function actList(acts, names = {}) {
  return h(
    "ul",
    {},
    ...acts.map((one) => {
      const who = one.rule ? t("review.by-rule", { rule: one.rule }) : [one.by, one.second].filter((name) => name !== null).map((name) => named(names, name)).join(t("app.comma")) || t("review.erased");
      return h("li", {}, h("strong", {}, t(`review.${one.act}`)), ` ${moment(one.at_ms)} · ${who}`, !one.rule && one.reason && `: ${one.reason}`, h("span", { class: "soft small" }, ` (${t("review.leaf", { position: one.position })})`));
    }),
  );
}

/**
 * The forms for what may come next; nothing where nothing may.
 * @param {string} path of the API, of this version
 * @param {Reviewed} one
 * @param {(work: () => Promise<unknown>) => Promise<void>} act
 */
export function nextStep(path, one, act) {
  if (one.state === "proposed") return decision(path, one, act);
  if (one.state === "approved" || one.state === "published") return withdrawal(path, act);
  return null;
}

/** @param {string} path @param {Reviewed} one @param {(work: () => Promise<unknown>) => Promise<void>} act */
function decision(path, one, act) {
  const isMine = one.acts[0]?.by === whoami()?.person;
  const reason = h("input", { name: "reason", required: true, maxlength: "1000" });
  /** @param {boolean} accept */
  const decide = (accept) => {
    if (reason.reportValidity()) void act(() => call("POST", `${path}/decision`, { accept, reason: reason.value.trim() }));
  };
  return h(
    "div",
    { class: "stack" },
    isMine && h("p", { class: "notice" }, t("review.needs-other")),
    h(
      "form",
      { class: "row align-end", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      h("label", { class: "grow" }, h("span", {}, t("review.reason")), reason),
      !isMine && h("button", { type: "button", class: "primary", onclick: () => decide(true) }, t("review.approve")),
      h("button", { type: "button", class: "danger", onclick: () => decide(false) }, t(isMine ? "review.take-back" : "review.reject")),
    ),
  );
}

/** @param {string} path @param {(work: () => Promise<unknown>) => Promise<void>} act */
function withdrawal(path, act) {
  /** @param {Event} event */
  const onsubmit = (event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const given = values(form);
    void act(() => call("POST", `${path}/withdrawal`, { second: given["second"], second_password: /** @type {HTMLInputElement} */ (form.elements.namedItem("second_password")).value, reason: given["reason"] }));
  };
  return h(
    "details",
    {},
    h("summary", {}, t("review.withdraw")),
    h("p", { class: "soft small below" }, t("review.withdraw-about")),
    h(
      "form",
      { class: "row align-end", onsubmit },
      h("label", { class: "grow" }, h("span", {}, t("review.reason")), h("input", { name: "reason", required: true, maxlength: "1000" })),
      h("label", {}, h("span", {}, t("review.second")), h("input", { name: "second", required: true, maxlength: "40", autocapitalize: "none", autocomplete: "off" })),
      h("label", {}, h("span", {}, t("review.second-password")), h("input", { name: "second_password", type: "password", required: true, autocomplete: "off" })),
      h("button", { class: "danger" }, t("review.withdraw-now")),
    ),
  );
}
