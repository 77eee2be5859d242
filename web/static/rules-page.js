// Targeting rules: what waits for a second person or for any, the rules with their versions and what changed, the figures of the score,
// and the notices and areas that count beside them.
import "./risk-parts.js";
import "./text-difference.js";
import { call, part, whoami } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h, values } from "./dom.js";
import { laneBadge, percent } from "./risk-parts.js";
import { faults, RuleEditor } from "./rule-editor.js";
import { actList, nextStep, stateBadge } from "./second-person.js";
import { TextDifference } from "./text-difference.js";
import { language, moment, t } from "./words.js";

/** @typedef {import("./second-person.js").Act} Act */
/** @typedef {{key: string, version: number, state: string, in_force: boolean, rule: Record<string, any> | null, sha256: string | null, acts: Act[]}} Rule */
/** @typedef {{rules: Rule[], score: Record<string, any>, score_version: number}} Rules */
/** @typedef {{declaration: string, lodged_ms: number, enterprise: string, reasons: {code: string, zh: string, en: string}[]}} Left */
/** @typedef {{key: string, version: number, value: Record<string, any> | null}} Kept */

const SCORE = "risk-score";

/** A rule as lines that can be compared. @param {Record<string, any> | null} rule */
function lines(rule) {
  return rule ? JSON.stringify(rule, null, 1) : "";
}

/** @param {Record<string, any>} rule */
function effectOf(rule) {
  if (rule["effect"] === "lane") return laneBadge(rule["lane"]);
  return h("span", { class: "badge warn" }, h("i"), rule["effect"] === "weight" ? t("rule.adds", { weight: rule["weight"] }) : t("effect.hold"));
}

/** @param {Record<string, any>} rule */
function days(rule) {
  return `${rule["start"]} – ${rule["end"] ?? "…"}`;
}

export class RulesPage extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.editor = new RuleEditor();
    this.said = h("p", { class: "notice hidden", role: "status" });
    this.desk = h("section", { class: "stack" });
    this.left = h("section", { class: "stack" });
    this.list = h("section", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    this.score = h("section", { class: "stack" });
    this.around = h("section", { class: "stack" });
    /** @type {Set<string>} */
    this.opened = new Set();
  }

  connectedCallback() {
    this.classList.add("stack");
    this.style.display = "block";
    const write = h("button", { class: "primary", onclick: () => this.write("", {}) }, t("rule.new"));
    fill(this, h("div", { class: "page-head" }, h("h1", { class: "grow" }, t("nav.rules")), write), h("p", { class: "soft" }, t("rule.about")), this.editor, this.said, this.desk, this.left, this.list, this.score, this.around);
    this.stop = whenChanged(["rule", "screening", "lagging"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  /** @param {string} key @param {Record<string, any>} rule */
  write(key, rule) {
    this.editor.open(key, rule, () => {
      fill(this.editor);
      void this.refresh();
    });
    this.editor.scrollIntoView({ block: "start" });
    this.editor.querySelector("input")?.focus();
  }

  /** @param {() => Promise<unknown>} work */
  async act(work) {
    try {
      await work();
      this.said.className = "notice good";
      this.said.textContent = t("review.done");
    } catch (error) {
      this.said.className = "notice bad";
      fill(this.said, ...faults(error));
      this.said.scrollIntoView({ block: "center" });
    }
    await this.refresh();
  }

  async refresh() {
    try {
      /** @type {[Rules, {left: Left[], automatic: boolean}, {entries: Kept[]}, {entries: Kept[]}]} */
      const [rules, left, notices, areas] = await Promise.all([call("GET", "rules"), call("GET", "screening"), call("GET", "references/notice"), call("GET", "references/area")]);
      this.showDesk(rules.rules.filter((one) => one.state === "proposed"), rules);
      this.showLeft(left.left, left.automatic);
      this.showList(rules.rules.filter((one) => one.key !== SCORE));
      this.showScore(rules);
      this.showAround(notices.entries, areas.entries);
    } catch (error) {
      fill(this.list, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Rule[]} waiting @param {Rules} all */
  showDesk(waiting, all) {
    const cards = waiting.map((one) => {
      const before = all.rules.filter((other) => other.key === one.key && other.version < one.version && other.state !== "rejected").at(-1);
      const shipped = one.key === SCORE && !before ? all.score : null;
      return h("article", { class: "card stack", "data-rule": one.key }, this.head(one), this.body(one, before?.rule ?? shipped), nextStep(`rules/${part(one.key)}/${one.version}`, one, (work) => this.act(work)));
    });
    fill(this.desk, h("h2", {}, t("rule.desk")), cards.length ? cards : h("p", { class: "soft" }, t("rule.desk-empty")));
  }

  /** @param {Rule} one */
  head(one) {
    const title = one.rule ? (language() === "en" ? one.rule["title_en"] : one.rule["title"]) ?? t("rule.figures") : t("review.erased");
    return h("div", { class: "row" }, h("strong", { class: "grow" }, title, " ", h("code", {}, `${one.key} · ${one.version}`)), one.rule?.["effect"] && effectOf(one.rule), stateBadge(one.state, one.in_force));
  }

  /** @param {Rule} one @param {Record<string, any> | null} before */
  body(one, before) {
    if (!one.rule) return null;
    const changes = new TextDifference();
    if (before) changes.show(lines(before), lines(one.rule));
    const facts = one.rule["when"]
      ? h("dl", {}, h("dt", {}, t("rule.when")), h("dd", {}, h("code", {}, one.rule["when"])), h("dt", {}, t("rule.days-of")), h("dd", {}, days(one.rule)), h("dt", {}, t("rule.owner")), h("dd", {}, one.rule["owner"]), one.rule["legal"] && h("dt", {}, t("rule.legal")), one.rule["legal"] && h("dd", {}, one.rule["legal"]))
      : !before && h("pre", { class: "mono small scroll", tabindex: "0" }, lines(one.rule));
    return h("div", { class: "stack" }, facts, actList(one.acts), before && h("details", { open: one.state === "proposed" }, h("summary", {}, t("difference.title")), changes));
  }

  /** @param {Left[]} left @param {boolean} automatic */
  showLeft(left, automatic) {
    const rows = left.map((one) => {
      const reason = h("input", { name: "reason", required: true, maxlength: "1000", "aria-label": `${t("review.reason")} ${one.declaration}` });
      /** @param {boolean} accept */
      const decide = (accept) => {
        if (reason.reportValidity()) void this.act(() => call("POST", `screening/${part(one.declaration)}/decision`, { accept, reason: reason.value.trim() }));
      };
      return h(
        "article",
        { class: "card stack" },
        h("div", { class: "row" }, h("a", { class: "grow", href: `/declarations/${part(one.declaration)}` }, one.declaration), h("span", { class: "soft small" }, `${one.enterprise} · ${moment(one.lodged_ms)}`)),
        h("p", {}, one.reasons.map((each) => (language() === "en" ? each.en : each.zh)).join(t("risk.semicolon"))),
        h("div", { class: "row" }, h("div", { class: "grow" }, reason), h("button", { class: "primary", onclick: () => decide(true) }, t("rule.accept")), h("button", { class: "danger", onclick: () => decide(false) }, t("rule.refuse"))),
      );
    });
    fill(this.left, h("h2", {}, t("rule.left")), !automatic && h("p", { class: "notice" }, t("rule.not-automatic")), rows.length ? rows : h("p", { class: "soft" }, t("rule.left-empty")));
  }

  /** @param {Rule[]} rules */
  showList(rules) {
    /** @type {Map<string, Rule[]>} */
    const byKey = new Map();
    for (const one of rules) byKey.set(one.key, [...(byKey.get(one.key) ?? []), one]);
    const cards = [...byKey].map(([key, versions]) => this.group(key, versions));
    fill(this.list, h("h2", {}, t("rule.all")), cards.length ? cards : h("div", { class: "empty" }, h("p", {}, t("rule.none")), h("button", { onclick: () => this.write("", {}) }, t("rule.new"))));
  }

  /** @param {string} key @param {Rule[]} versions */
  group(key, versions) {
    const shown = versions.find((one) => one.in_force) ?? /** @type {Rule} */ (versions.at(-1));
    const older = versions.map((one, at) => ({ one, before: versions.slice(0, at).at(-1)?.rule ?? null })).reverse();
    /** @param {Event} event */
    const ontoggle = (event) => (/** @type {HTMLDetailsElement} */ (event.target).open ? this.opened.add(key) : this.opened.delete(key));
    return h(
      "details",
      { class: "card", open: this.opened.has(key), ontoggle },
      h("summary", {}, this.head(shown)),
      h("div", { class: "stack below" }, shown.rule && h("button", { onclick: () => this.write(key, shown.rule ?? {}) }, t("rule.change")), ...older.map(({ one, before }) => h("article", { class: "stack version" }, h("h3", {}, t("review.version", { version: one.version }), " ", stateBadge(one.state, one.in_force)), this.body(one, before), one.state !== "proposed" && nextStep(`rules/${part(key)}/${one.version}`, one, (work) => this.act(work))))),
    );
  }

  /** @param {Rules} all */
  showScore(all) {
    const score = all.score;
    const weights = Object.entries(/** @type {Record<string, number>} */ (score["weights"]));
    const lanes = Object.entries(/** @type {Record<string, number>} */ (score["lanes"]));
    const grades = Object.entries(/** @type {Record<string, number>} */ (score["grades"]));
    const editing = h("textarea", { name: "figures", rows: "16", class: "mono", spellcheck: "false", required: true });
    editing.value = JSON.stringify(score, null, 1);
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const reason = values(/** @type {HTMLFormElement} */ (event.target))["reason"];
      void this.act(async () => call("POST", `rules/${SCORE}`, { rule: JSON.parse(editing.value), reason }));
    };
    fill(
      this.score,
      h("h2", {}, t("rule.figures")),
      h(
        "div",
        { class: "card stack" },
        h("p", { class: score["verified"] ? "soft" : "notice" }, all.score_version ? t("rule.figures-set", { rules: score["rules"], version: all.score_version }) : t("rule.figures-shipped"), " ", !score["verified"] && t("risk.unverified")),
        h("dl", {}, ...weights.flatMap(([name, value]) => [h("dt", {}, t(`risk.${name}`)), h("dd", {}, percent(value))])),
        h("p", {}, ...grades.map(([name, value]) => h("span", { class: "badge off" }, h("i"), `${name} ${percent(value)}`)).flatMap((one) => [one, " "])),
        h("p", {}, ...lanes.flatMap(([name, value]) => [laneBadge(name), ` ${t("rule.from", { percent: percent(value) })} `])),
        h("details", {}, h("summary", {}, t("rule.figures-change")), h("form", { class: "stack below", onsubmit }, h("label", {}, h("span", {}, t("rule.figures")), editing), h("label", {}, h("span", {}, t("rule.reason")), h("input", { name: "reason", required: true, maxlength: "1000" })), h("button", { class: "primary" }, t("rule.propose")))),
      ),
    );
  }

  /** @param {Kept[]} notices @param {Kept[]} areas */
  showAround(notices, areas) {
    const title = (/** @type {Record<string, any>} */ value, /** @type {string} */ name) => (language() === "en" ? value[`${name}_en`] : value[name]) ?? "";
    const noticeRows = notices.filter((one) => one.value).map((one) => ({ key: one.key, value: /** @type {Record<string, any>} */ (one.value) })).map(({ key, value }) => h("li", { class: "list-item" }, h("strong", {}, title(value, "title")), h("code", {}, key), h("span", { class: "soft small" }, [...value["hs"], ...value["origins"], ...value["shippers"]].join(t("app.comma"))), h("span", {}, t("rule.adds", { weight: value["weight"] })), h("span", { class: "soft small" }, days(value))));
    const areaRows = areas.filter((one) => one.value).map((one) => ({ key: one.key, value: /** @type {Record<string, any>} */ (one.value) })).map(({ key, value }) => h("li", { class: "list-item" }, h("strong", {}, title(value, "disease")), h("code", {}, key), h("span", {}, value["origin"]), h("span", { class: "soft small" }, value["hs"].join(t("app.comma"))), h("span", { class: `badge ${value["measure"] === "warn" ? "warn" : "bad"}` }, h("i"), t(`measure.${value["measure"]}`)), h("span", { class: "soft small" }, days(value))));
    const change = whoami()?.role === "administrator" && h("a", { href: "/references" }, t("rule.change-references"));
    fill(
      this.around,
      h("div", { class: "row" }, h("h2", { class: "grow" }, t("rule.around")), change),
      h("div", { class: "card" }, h("h3", {}, t("rule.notices")), noticeRows.length ? h("ul", {}, ...noticeRows) : h("p", { class: "soft" }, t("app.none"))),
      h("div", { class: "card" }, h("h3", {}, t("rule.areas")), areaRows.length ? h("ul", {}, ...areaRows) : h("p", { class: "soft" }, t("app.none"))),
    );
  }
}

customElements.define("rules-page", RulesPage);
