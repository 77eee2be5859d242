// How a declaration stands before the evidence gate: what is missing and who can fix it, the verdict's form, release, override, recall, and
// what was done. Others embed it: <inspection-verdict declaration="D-...">.
import { askAct } from "./act-dialog.js";
import { call, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h, values } from "./dom.js";
import { known, moment, named, several, t } from "./words.js";

/** @typedef {{kind: string, what: string, who: string[], step: string, key: string, at: string, reason: string, have: number, want: number, link: string}} Block */
/** @typedef {{position: number, verdict: string, at_ms: number, by: string | null, reason: string | null, findings: string[]}} Judgement */
/** @typedef {{position: number, act: string, at_ms: number, rule: string | null, size: number, root: string, items: number, by: string | null, second: string | null, reason: string | null, against: string[]}} Act */
/** @typedef {{number: string, state: string, task: string | null, inspectors: string[], blocks: Block[], verdicts: string[], may_approve: boolean, may_override: boolean, may_recall: boolean, judgements: Judgement[], acts: Act[], names: Record<string, string>}} Gate */

/** What blocks, in the reader's words. @param {Block} one */
export function blockText(one) {
  const place = `${one.key}${one.at ? ` (${one.at})` : ""}`;
  if (["item", "record", "signature"].includes(one.kind)) return t(`gate.${one.kind}`, { step: one.step, key: known("gate-key", place), reason: known("gate-reason", one.reason) }) + (one.want > 1 ? ` (${one.have}/${one.want})` : "");
  if (one.kind === "hold") return t("gate.hold", { who: one.what });
  if (one.kind === "verdict") return t("gate.verdict");
  return one.what;
}

/** @param {Block[]} blocks @param {Record<string, string>} names */
export function blockList(blocks, names) {
  return h(
    "ul",
    { class: "blocks stack" },
    ...blocks.map((one) =>
      h(
        "li",
        {},
        h("span", { class: `badge long ${one.kind === "verdict" ? "wait" : "bad"}` }, h("i"), blockText(one)),
        h("div", { class: "soft small" }, t("gate.who", { who: several(one.who.map((who) => named(names, known("gate-who", who)))) }), " ", h("a", { href: one.link }, t("gate.go"))),
      ),
    ),
  );
}

/** @param {string} state */
export function stateBadge(state) {
  const good = ["released", "gate-out", "passed", "release-approved"].includes(state);
  const bad = ["recalled", "failed", "detained", "destroy", "return", "case-filed"].includes(state);
  return h("span", { class: `badge ${good ? "good" : bad ? "bad" : "wait"}` }, h("i"), known("gate-state", state));
}

/** Ask for an approval and do it. @param {string} number */
export function approve(number) {
  return askAct({ title: t("gate.approve"), effect: t("gate.approve-effect", { number }), fields: [{ name: "reason", word: t("gate.reason-if-any"), required: false }], act: (given) => call("POST", `declarations/${part(number)}/release`, { reason: given["reason"] ?? "" }) });
}

/** @param {string} number */
export function refuse(number) {
  return askAct({ title: t("gate.refuse"), effect: t("gate.refuse-effect", { number }), fields: [{ name: "reason", word: t("gate.reason") }], act: (given) => call("POST", `declarations/${part(number)}/refusal`, given) });
}

/** @param {string} number */
export function override(number) {
  return askAct({
    title: t("gate.override"),
    effect: t("gate.override-effect", { number }),
    danger: true,
    fields: [
      { name: "reason", word: t("gate.reason") },
      { name: "second", word: t("gate.second"), type: "text" },
      { name: "second_password", word: t("gate.second-password"), type: "password" },
    ],
    act: (given) => call("POST", `declarations/${part(number)}/override`, given),
  });
}

/** @param {string} number */
export function recall(number) {
  return askAct({ title: t("gate.recall"), effect: t("gate.recall-effect", { number }), danger: true, fields: [{ name: "reason", word: t("gate.reason") }], act: (given) => call("POST", `declarations/${part(number)}/recall`, given) });
}

export class InspectionVerdict extends HTMLElement {
  constructor() {
    super();
    this.body = h("div", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    /** @type {(() => void) | null} */
    this.unhear = null;
  }

  connectedCallback() {
    this.style.display = "block";
    fill(this, this.body);
    this.unhear = whenChanged(["declaration", "reference"], () => void this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.unhear?.();
  }

  get number() {
    return this.getAttribute("declaration") ?? "";
  }

  async refresh() {
    if (this.contains(document.activeElement) && this.querySelector("form.verdict-form")?.contains(document.activeElement)) return; // nothing typed is lost
    try {
      this.draw(await call("GET", `declarations/${part(this.number)}/gate`));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Gate} gate */
  draw(gate) {
    /** @param {(number: string) => Promise<boolean>} act */
    const then = (act) => async () => {
      if (await act(this.number)) await this.refresh();
    };
    const overridden = gate.acts.filter((one) => one.act === "overridden");
    const next = !gate.blocks.length ? t("gate.clear") : t("gate.blocked");
    fill(
      this.body,
      ...overridden.map((one) => this.red(one, gate.names)),
      h(
        "section",
        { class: "card stack" },
        h("div", { class: "row" }, h("h2", { class: "grow" }, t("gate.title")), stateBadge(gate.state)),
        h("p", { class: gate.blocks.length ? "" : "soft" }, next),
        gate.blocks.length > 0 && blockList(gate.blocks, gate.names),
        h(
          "div",
          { class: "row" },
          gate.may_approve && h("button", { class: "primary", onclick: then(approve) }, t("gate.approve")),
          gate.may_approve && h("button", { onclick: then(refuse) }, t("gate.refuse")),
          gate.may_override && h("button", { class: "danger", onclick: then(override) }, t("gate.override")),
          gate.may_recall && h("button", { class: "danger", onclick: then(recall) }, t("gate.recall")),
        ),
      ),
      gate.verdicts.length > 0 && this.form(gate),
      (gate.judgements.length > 0 || gate.acts.length > 0) && this.past(gate),
    );
  }

  /** @param {Act} one @param {Record<string, string>} names */
  red(one, names) {
    return h("div", { class: "notice bad", role: "note" }, h("strong", {}, t("gate.overridden")), " ", t("gate.overridden-by", { first: named(names, one.by ?? "–"), second: named(names, one.second ?? "–"), time: moment(one.at_ms) }), h("p", {}, one.reason ?? t("gate.erased")), h("ul", {}, ...one.against.map((text) => h("li", { class: "small" }, text))));
  }

  /** @param {Gate} gate */
  form(gate) {
    const said = h("p", { class: "notice bad hidden", role: "alert" });
    const choices = gate.verdicts.map((one) => h("label", { class: "row choice" }, h("input", { type: "radio", name: "verdict", value: one, required: true }), h("span", {}, t(`gate.verdict-${one}`), h("span", { class: "soft small" }, ` ${t(`gate.means-${one}`)}`))));
    const reason = h("textarea", { name: "reason", rows: "2", required: true, maxlength: "1000" });
    const findings = h("textarea", { name: "findings", rows: "3", maxlength: "8000" });
    /** @param {Event} event */
    const onsubmit = async (event) => {
      event.preventDefault();
      said.classList.add("hidden");
      const given = values(form);
      const verdict = given["verdict"] ?? "";
      const done = await askAct({
        title: t("gate.give"),
        effect: t("gate.give-effect", { verdict: t(`gate.verdict-${verdict}`), number: this.number }),
        fields: [],
        act: () => call("POST", `declarations/${part(this.number)}/evaluation`, { verdict, reason: given["reason"], findings: (given["findings"] ?? "").split("\n").map((line) => line.trim()).filter(Boolean) }),
      });
      if (!done) return;
      /** @type {HTMLElement | null} */ (document.activeElement)?.blur();
      await this.refresh();
    };
    const form = h("form", { class: "card stack verdict-form", onsubmit }, h("h2", {}, t("gate.judge")), h("fieldset", { class: "stack" }, h("legend", {}, t("gate.choose")), ...choices), h("label", {}, h("span", {}, t("gate.reason")), reason), h("label", {}, h("span", {}, t("gate.findings")), findings), said, h("button", { class: "primary" }, t("gate.give")));
    return form;
  }

  /** @param {Gate} gate */
  past(gate) {
    const all = [...gate.judgements.map((one) => ({ ...one, kind: "judgement" })), ...gate.acts.map((one) => ({ ...one, kind: "act" }))].sort((one, other) => other.position - one.position);
    const rows = all.map((one) => {
      const judged = one.kind === "judgement";
      const word = judged ? t(`gate.verdict-${/** @type {Judgement} */ (/** @type {unknown} */ (one)).verdict}`) : t(`gate.act-${/** @type {Act} */ (/** @type {unknown} */ (one)).act}`);
      const act = /** @type {Act} */ (/** @type {unknown} */ (one));
      const red = !judged && act.act !== "released";
      return h(
        "li",
        { class: red ? "bad" : "" },
        h("strong", {}, word),
        ` · ${moment(one.at_ms)} · ${one.by ? named(gate.names, one.by) : judged ? t("gate.erased") : (act.rule ?? t("gate.erased"))}`,
        one.reason && h("div", {}, one.reason),
        judged && h("ul", {}, .../** @type {Judgement} */ (/** @type {unknown} */ (one)).findings.map((text) => h("li", { class: "small" }, text))),
        !judged && act.act !== "recalled" && h("div", { class: "soft small" }, t("gate.root", { items: act.items, size: act.size }), " ", h("a", { href: `/api/v1/evidence/${act.root}`, download: "" }, h("code", {}, `${act.root.slice(0, 16)}…`))),
      );
    });
    return h("section", { class: "card stack" }, h("h2", {}, t("gate.past")), h("ul", { class: "stack past" }, ...rows));
  }
}

customElements.define("inspection-verdict", InspectionVerdict);
