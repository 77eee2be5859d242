// Write a targeting rule: its expression is read as it is typed, tried on past declarations, and proposed for another person to approve.
import { call, part, Refusal, whoami } from "./api.js";
import { fill, h, values } from "./dom.js";
import { known, language, t } from "./words.js";

/** @typedef {{name: string, kind: string, zh: string, en: string}} Field */
/** @typedef {{since: string, looked_at: number, hits: number, failed: number, by_day: [string, number][], listed: {declaration: string, enterprise: string, day: string, state: string}[], truncated: boolean}} DryRun */

const PAUSE_MS = 250;
const EFFECTS = ["lane", "weight", "hold"];

/** Today as 2026-11-24. */
function today() {
  return new Date().toISOString().slice(0, 10);
}

export class RuleEditor extends HTMLElement {
  constructor() {
    super();
    /** @type {Record<string, any>} */
    this.rule = {};
    this.key = "";
    /** @type {() => void} */
    this.done = () => {};
    this.said = h("p", { class: "notice hidden", role: "status" });
    this.verdict = h("p", { class: "small", role: "status", id: "expression-verdict" });
    this.dry = h("div", { class: "stack", role: "status" });
    this.waiting = 0;
    this.asked = 0;
  }

  /**
   * @param {string} key of the rule that gets a new version; empty for a new rule
   * @param {Record<string, any>} rule
   * @param {() => void} done
   */
  open(key, rule, done) {
    [this.key, this.rule, this.done] = [key, rule, done];
    const of = (/** @type {string} */ name, /** @type {any} */ otherwise = "") => rule[name] ?? otherwise;
    this.when = h("textarea", { name: "when", rows: "4", required: true, spellcheck: "false", class: "mono", maxlength: "2000", "aria-describedby": "expression-verdict", oninput: () => this.later() });
    this.when.value = of("when");
    this.effect = h("select", { name: "effect", onchange: () => this.showEffect() }, ...EFFECTS.map((name) => h("option", { value: name, selected: of("effect", "lane") === name }, t(`effect.${name}`))));
    this.lane = h("label", {}, h("span", {}, t("rule.lane")), h("select", { name: "lane" }, ...["red", "yellow", "blue"].map((name) => h("option", { value: name, selected: of("lane", "red") === name }, t(`lane.${name}`)))));
    this.weight = h("label", {}, h("span", {}, t("rule.weight")), h("input", { name: "weight", type: "number", min: "1", max: "100", value: String(of("weight", 20)) }));
    this.form = h(
      "form",
      { class: "card stack", onsubmit: (/** @type {Event} */ event) => this.propose(event) },
      h("h2", {}, key ? t("rule.new-version", { key }) : t("rule.new")),
      h(
        "div",
        { class: "fields" },
        this.field("key", key, { pattern: "[A-Za-z0-9][A-Za-z0-9._-]{0,63}", readonly: key !== "", placeholder: "th-durian-2026" }),
        this.field("title", of("title"), { maxlength: "200" }),
        this.field("title_en", of("title_en"), { maxlength: "200" }),
        this.field("owner", of("owner", whoami()?.person ?? ""), { maxlength: "40", autocapitalize: "none" }),
      ),
      h("label", {}, h("span", {}, t("rule.when")), this.when),
      this.verdict,
      this.help(),
      h("div", { class: "fields" }, h("label", {}, h("span", {}, t("rule.effect")), this.effect), this.lane, this.weight, this.field("start", of("start", today()), { type: "date" }), this.field("end", of("end"), { type: "date", required: false })),
      h("label", {}, h("span", {}, t("rule.legal")), h("input", { name: "legal", maxlength: "2000", value: of("legal") })),
      h("div", { class: "row align-end" }, h("label", {}, h("span", {}, t("rule.days")), h("input", { name: "days", type: "number", min: "1", max: "366", value: "30" })), h("button", { type: "button", onclick: () => void this.tryOut() }, t("rule.dry-run"))),
      this.dry,
      h("label", {}, h("span", {}, t("rule.reason")), h("input", { name: "reason", required: true, maxlength: "1000" })),
      this.said,
      h("div", { class: "row" }, h("button", { class: "primary" }, t("rule.propose")), h("button", { type: "button", onclick: () => this.done() }, t("app.cancel"))),
    );
    fill(this, this.form);
    this.showEffect();
    void this.check();
  }

  /** @param {string} name @param {string} value @param {Record<string, unknown>} how */
  field(name, value, how) {
    return h("label", {}, h("span", {}, t(`rule.${name.replace("_", "-")}`)), h("input", { name, value: value ?? "", required: true, ...how }));
  }

  showEffect() {
    const effect = this.effect?.value;
    this.lane?.classList.toggle("hidden", effect !== "lane");
    this.weight?.classList.toggle("hidden", effect !== "weight");
  }

  help() {
    const body = h("div", { class: "below" });
    const details = h("details", { ontoggle: () => void this.fillHelp(body) }, h("summary", {}, t("rule.fields")), body);
    return details;
  }

  /** @param {HTMLElement} body */
  async fillHelp(body) {
    if (body.childElementCount) return;
    /** @type {{fields: Field[], lists: Record<string, Field[]>}} */
    const found = await call("GET", "rules/fields");
    /** @param {Field[]} fields */
    const rows = (fields) => fields.map((one) => h("tr", {}, h("td", {}, h("code", {}, one.name)), h("td", {}, t(`kind.${one.kind}`)), h("td", {}, language() === "en" ? one.en : one.zh)));
    const lists = Object.entries(found.lists).map(([name, fields]) => h("details", {}, h("summary", {}, h("code", {}, name)), h("table", {}, h("tbody", {}, ...rows(fields)))));
    fill(body, h("p", { class: "soft small" }, t("rule.language")), h("ul", { class: "mono small" }, ...["any goods (hs starts '0810' and origin in ('TH', 'VN'))", "count containers (reefer) > 2", "consignor.name contains 'orchard' and days_ahead < 1", "contract is missing and not (grade = 'AA')"].map((text) => h("li", {}, text))), h("details", {}, h("summary", {}, t("rule.own-fields")), h("table", {}, h("tbody", {}, ...rows(found.fields)))), ...lists);
  }

  later() {
    clearTimeout(this.waiting);
    this.waiting = window.setTimeout(() => void this.check(), PAUSE_MS);
  }

  async check() {
    const when = this.when?.value ?? "";
    this.asked += 1;
    const mine = this.asked;
    if (!when.trim()) {
      this.verdict.textContent = t("rule.empty");
      this.verdict.className = "small soft";
      return;
    }
    try {
      /** @type {{reads: boolean, at: number | null, en: string | null, zh: string | null}} */
      const found = await call("POST", "rules/check", { when });
      if (mine !== this.asked) return;
      this.verdict.className = found.reads ? "small rule-reads" : "small rule-fails";
      fill(this.verdict, found.reads ? `✓ ${t("rule.reads")}` : h("span", {}, `✗ ${(language() === "en" ? found.en : found.zh) ?? ""} `, h("button", { type: "button", class: "quiet small", onclick: () => this.goTo(found.at ?? 1) }, t("rule.go-to"))));
    } catch (error) {
      if (mine === this.asked) this.verdict.textContent = error instanceof Error ? error.message : "";
    }
  }

  /** @param {number} at */
  goTo(at) {
    this.when?.focus();
    this.when?.setSelectionRange(at - 1, at);
  }

  /** The rule as it stands in the form. */
  value() {
    const given = values(/** @type {HTMLFormElement} */ (this.form));
    const effect = given["effect"] ?? "lane";
    const [lane, weight] = [effect === "lane" ? given["lane"] : null, effect === "weight" ? Number(given["weight"]) : null];
    return { title: given["title"], title_en: given["title_en"], owner: given["owner"], when: given["when"], effect, lane, weight, start: given["start"], end: given["end"] || null, legal: given["legal"] ?? "" };
  }

  async tryOut() {
    fill(this.dry, h("p", { class: "pulse" }, t("app.loading")));
    try {
      /** @type {DryRun} */
      const found = await call("POST", "rules/dry-run", { rule: this.value(), days: Number(values(/** @type {HTMLFormElement} */ (this.form))["days"]) });
      const most = Math.max(1, ...found.by_day.map(([, count]) => count));
      fill(
        this.dry,
        h("p", {}, h("strong", {}, t("rule.dry-found", { hits: found.hits, looked: found.looked_at, since: found.since })), " ", found.hits > 0 && t("rule.dry-failed", { failed: found.failed }), " ", found.truncated && t("rule.dry-cut")),
        found.by_day.length > 0 && h("ul", { class: "days", "aria-label": t("rule.by-day") }, ...found.by_day.map(([day, count]) => h("li", {}, h("span", { class: "small" }, day), h("meter", { min: 0, max: most, value: String(count) }), h("span", { class: "small" }, String(count))))),
        found.listed.length > 0 &&
          h("details", {}, h("summary", {}, t("rule.dry-list")), h("ul", { class: "small" }, ...found.listed.map((one) => h("li", {}, h("a", { href: `/declarations/${encodeURIComponent(one.declaration)}` }, one.declaration), ` · ${one.enterprise} · ${one.day} · ${known("state", one.state)}`)))),
      );
    } catch (error) {
      fill(this.dry, h("p", { class: "notice bad" }, ...faults(error)));
    }
  }

  /** @param {Event} event */
  async propose(event) {
    event.preventDefault();
    const given = values(/** @type {HTMLFormElement} */ (this.form));
    try {
      await call("POST", `rules/${part(given["key"] ?? "")}`, { rule: this.value(), reason: given["reason"] });
      this.done();
    } catch (error) {
      this.said.className = "notice bad";
      fill(this.said, ...faults(error));
    }
  }
}

/** All that is wrong, in sentences. @param {unknown} error @returns {(string | Node)[]} */
export function faults(error) {
  const list = error instanceof Refusal ? error.faults : [];
  if (list.length) return list.map((one) => h("span", { class: "fault" }, h("strong", {}, known("rule", one.path.replace("_", "-"))), ` ${one.what}`));
  return [error instanceof Error ? error.message : ""];
}

customElements.define("rule-editor", RuleEditor);
