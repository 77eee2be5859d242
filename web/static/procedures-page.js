// Operating procedures: the list with what each asks; one with its versions, its text, what changed, and its editor with line and column.
import "./text-difference.js";
import { call, mayBe, part, send } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h, values } from "./dom.js";
import { faults } from "./rule-editor.js";
import { actList, nextStep, stateBadge } from "./second-person.js";
import { TextDifference } from "./text-difference.js";
import { known, language, t } from "./words.js";

/** @typedef {import("./second-person.js").Act} Act */
/** @typedef {{items: number, must: number, may: number, unverified: number}} Counts */
/** @typedef {{key: string, version: number, state: string, in_force: boolean, sha256: string, effective: string, until: string | null, acts: Act[]}} Version */
/** @typedef {{key: string, number: number, zh: string, en: string, verified: boolean, goods: string[], counts: Counts, versions: Version[]}} Procedure */
/** @typedef {Version & {counts: Counts, procedure: any, yaml: string}} Detail */
/** @typedef {{reads: boolean, what: string | null, line: number | null, column: number | null, key: string | null, version: number | null, next_version: number | null, counts: Counts | null}} Check */

const PAUSE_MS = 500;
const OVERSEERS = ["supervisor", "administrator"];

/** @param {{zh: string, en: string}} one */
function said(one) {
  return language() === "en" ? one.en : one.zh;
}

/** @param {Counts} counts @param {boolean} isVerified */
function countsOf(counts, isVerified) {
  return h("span", { class: "row small" }, h("span", {}, t("procedure.items", { count: counts.items })), h("span", {}, t("procedure.must", { count: counts.must })), h("span", { class: "soft" }, t("procedure.may", { count: counts.may })), (counts.unverified > 0 || !isVerified) && unverified(counts.unverified, isVerified));
}

/** @param {number} count @param {boolean} isVerified */
function unverified(count, isVerified) {
  return h("span", { class: "badge warn", title: t("procedure.unverified-about") }, h("i"), isVerified ? t("procedure.unverified", { count }) : t("procedure.unverified-whole"));
}

export class ProceduresPage extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.said = h("p", { class: "notice hidden", role: "status" });
    this.body = h("div", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    this.editor = h("div", {});
    this.waiting = 0;
    this.asked = 0;
    this.shown = 0; // version
  }

  connectedCallback() {
    this.key = this.getAttribute("key");
    this.classList.add("stack");
    this.style.display = "block";
    const back = this.key && h("a", { class: "button", href: "/procedures" }, t("procedure.all"));
    fill(this, h("div", { class: "page-head" }, h("h1", { class: "grow" }, this.key ? t("procedure.one", { key: this.key }) : t("nav.procedures")), back), !this.key && h("p", { class: "soft" }, t("procedure.about")), this.said, this.editor, this.body);
    this.stop = whenChanged(["procedure", "lagging"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
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
      /** @type {{procedures: Procedure[]}} */
      const answer = await call("GET", "procedures");
      if (!this.key) await this.all(answer.procedures);
      else await this.one(answer.procedures.find((one) => one.key === this.key));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Procedure[]} procedures */
  async all(procedures) {
    /** @param {string} name @param {...any} children */
    const cell = (name, ...children) => h("td", { "data-name": t(name) }, ...children);
    const rows = procedures.map((one) => {
      const standing = one.versions.find((each) => each.in_force);
      const open = one.versions.filter((each) => each.state === "proposed").length;
      return h(
        "tr",
        {},
        cell("procedure.number", String(one.number)),
        cell("procedure.name", h("div", {}, h("a", { href: `/procedures/${part(one.key)}` }, said(one)), h("div", { class: "soft small" }, one.goods.join(t("app.comma"))))),
        cell("procedure.asks", countsOf(one.counts, one.verified)),
        cell("procedure.standing", standing ? h("span", {}, t("review.version", { version: standing.version }), ` · ${standing.effective}`) : h("span", { class: "badge off" }, h("i"), t("procedure.not-in-force"))),
        cell("procedure.open", open ? h("span", { class: "badge wait" }, h("i"), t("procedure.proposals", { count: open })) : "–"),
      );
    });
    const total = procedures.reduce((sum, one) => sum + one.counts.items, 0);
    const heads = ["procedure.number", "procedure.name", "procedure.asks", "procedure.standing", "procedure.open"];
    const table = h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows));
    fill(this.body, rows.length ? h("div", { class: "card stack" }, h("p", { class: "soft small" }, t("procedure.total", { count: rows.length, items: total })), h("div", { class: "scroll" }, table)) : h("div", { class: "empty" }, h("p", {}, t("procedure.none"))), await this.scheme());
  }

  async scheme() {
    const scheme = await call("GET", "procedures/scheme");
    /** @param {any} one */
    const partOf = (one) => h("li", {}, h("strong", {}, said(one)), " ", h("code", {}, one.key), !one.verified && h("span", { class: "badge warn" }, h("i"), t("procedure.unread")), one.parts.length > 0 && h("ul", { class: "dots small" }, ...one.parts.map((/** @type {[string, string]} */ each) => h("li", {}, each[language() === "en" ? 1 : 0]))));
    const at = language() === "en" ? 1 : 0;
    return h(
      "div",
      { class: "stack" },
      h("details", { class: "card" }, h("summary", {}, said(scheme.scheme)), h("ul", { class: "stack below" }, partOf(scheme.scheme), ...scheme.rules.map(partOf))),
      h("details", { class: "card" }, h("summary", {}, t("procedure.ways")), h("ul", { class: "below" }, ...scheme.ways.map(partOf), ...scheme.devices.map(partOf))),
      h(
        "details",
        { class: "card" },
        h("summary", {}, t("procedure.violations", { count: scheme.violations.length })),
        h("div", { class: "scroll below" }, h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...["procedure.violation", "procedure.legal", "procedure.penalty"].map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...scheme.violations.map((/** @type {any} */ one) => h("tr", {}, h("td", { "data-name": t("procedure.violation") }, h("a", { href: `/references/violation/${part(one.key)}` }, said(one)), " ", !one.verified && h("span", { class: "badge warn" }, h("i"), t("procedure.unread"))), h("td", { "data-name": t("procedure.legal") }, one.legal[at]), h("td", { "data-name": t("procedure.penalty") }, one.penalty[at])))))),
      ),
    );
  }

  /** @param {Procedure | undefined} procedure */
  async one(procedure) {
    if (!procedure) {
      fill(this.body, h("div", { class: "empty" }, h("p", {}, t("procedure.missing")), h("a", { class: "button", href: "/procedures" }, t("procedure.all"))));
      return;
    }
    const versions = procedure.versions;
    const chosen = versions.find((one) => one.version === this.shown) ?? versions.find((one) => one.state === "proposed") ?? versions.find((one) => one.in_force) ?? versions.at(-1);
    if (!chosen) return;
    const before = versions.filter((one) => one.version < chosen.version && one.state !== "rejected").at(-1);
    /** @type {[Detail, Detail | null]} */
    const [detail, old] = await Promise.all([call("GET", `procedures/${part(procedure.key)}/${chosen.version}`), before ? call("GET", `procedures/${part(procedure.key)}/${before.version}`) : null]);
    const heading = this.querySelector("h1");
    if (heading) heading.textContent = said(procedure);
    const choice = h("div", { class: "row", role: "group", "aria-label": t("procedure.versions") }, ...versions.map((one) => h("button", { "aria-pressed": String(one.version === chosen.version), onclick: () => this.choose(one.version) }, t("review.version", { version: one.version }), " ", stateBadge(one.state, one.in_force))));
    const changes = new TextDifference();
    if (old) changes.show(old.yaml, detail.yaml);
    const path = `procedures/${part(procedure.key)}/${chosen.version}`;
    fill(
      this.body,
      choice,
      h(
        "div",
        { class: "card stack" },
        h("div", { class: "row" }, countsOf(detail.counts, detail.procedure.verified)),
        h("dl", {}, h("dt", {}, t("procedure.days")), h("dd", {}, `${chosen.effective} – ${chosen.until ?? "…"}`), h("dt", {}, t("procedure.hash")), h("dd", {}, h("code", {}, chosen.sha256)), h("dt", {}, t("procedure.basis")), h("dd", {}, h("ul", {}, ...detail.procedure.basis.map((/** @type {any} */ one) => h("li", {}, said(one), " ", !one.verified && h("span", { class: "badge warn" }, h("i"), t("procedure.unread"))))))),
        actList(chosen.acts),
        mayBe(...OVERSEERS) && nextStep(path, chosen, (work) => this.act(work)),
        mayBe(...OVERSEERS) && h("div", { class: "row" }, h("button", { class: "primary", onclick: () => void this.write(detail) }, t("procedure.write")), h("a", { class: "button", href: `/api/v1/${path}/xlsform`, download: "" }, t("procedure.xlsform-out")), this.importing(path, detail)),
      ),
      old && h("section", { class: "stack" }, h("h2", {}, t("procedure.changed", { version: old.version })), changes),
      h("section", { class: "stack" }, h("h2", {}, t("procedure.steps")), ...detail.procedure.steps.map((/** @type {any} */ step) => this.step(step))),
      h("section", { class: "stack" }, h("h2", {}, t("procedure.sections")), ...detail.procedure.sections.map((/** @type {any} */ section) => this.section(section))),
      h("details", { class: "card" }, h("summary", {}, t("procedure.text")), h("pre", { class: "mono small scroll lines", tabindex: "0" }, detail.yaml)),
    );
  }

  /** @param {number} version */
  choose(version) {
    this.shown = version;
    void this.refresh();
  }

  /** @param {any} step */
  step(step) {
    return h(
      "div",
      { class: "card stack" },
      h("h3", {}, said(step)),
      h("p", { class: "soft small" }, t("procedure.from-to", { from: said(step.starts), to: said(step.ends) })),
      h("ul", {}, ...(step.records ?? []).map((/** @type {any} */ one) => h("li", { class: "list-item" }, h("span", { class: `badge ${one.need === "must" ? "bad" : "off"}` }, h("i"), t(`need.${one.need}`)), h("code", {}, one.way), h("span", { class: "grow" }, said(one), one.unbroken && ` · ${t("procedure.unbroken")}`), (one.least ?? 1) > 1 && h("span", { class: "soft small" }, `≥ ${one.least}`), one.verified === false && h("span", { class: "badge warn" }, h("i"), t("procedure.unread"))))),
    );
  }

  /** @param {any} section */
  section(section) {
    const rows = section.items.map((/** @type {any} */ one) =>
      h("li", { class: "list-item" }, h("span", { class: "grow" }, said(one), one.unit && ` (${one.unit})`), h("span", { class: "soft small" }, t(`type.${one.type}`)), (one.least !== undefined || one.most !== undefined) && h("span", { class: "soft small" }, `${one.least ?? "…"} – ${one.most ?? "…"}`), one.when && h("code", { class: "small" }, one.when), !one.required && h("span", { class: "soft small" }, t("procedure.optional"))),
    );
    return h("details", { class: "card" }, h("summary", {}, said(section), h("span", { class: "soft small" }, ` · ${t("procedure.items", { count: section.items.length })}${section.per ? ` · ${t("procedure.per", { per: known("per", section.per) })}` : ""}`)), h("ul", { class: "below" }, ...rows));
  }

  /** @param {string} path @param {Detail} detail */
  importing(path, detail) {
    const file = h("input", { type: "file", accept: ".xlsx", class: "unseen", id: "xlsform-file", onchange: () => void this.read(path, file, detail) });
    return h("span", {}, h("label", { class: "button", for: "xlsform-file" }, t("procedure.xlsform-in")), file);
  }

  /** @param {string} path @param {HTMLInputElement} file @param {Detail} detail */
  async read(path, file, detail) {
    const chosen = file.files?.[0];
    if (!chosen) return;
    try {
      const answer = await fetchBody(`${path}/xlsform?effective=${new Date().toISOString().slice(0, 10)}`, chosen);
      file.value = "";
      if (answer.text !== null) await this.write(detail, answer.text);
      else {
        this.said.className = "notice bad";
        fill(this.said, h("ul", {}, ...answer.faults.map((/** @type {any} */ one) => h("li", {}, h("strong", {}, one.path), ` ${one.what}`))));
      }
    } catch (error) {
      this.said.className = "notice bad";
      fill(this.said, ...faults(error));
    }
  }

  /** @param {Detail} detail @param {string | null} [given] */
  async write(detail, given = null) {
    const text = h("textarea", { name: "text", rows: "24", class: "mono", spellcheck: "false", required: true, wrap: "off", oninput: () => later(), "aria-describedby": "procedure-verdict" });
    const verdict = h("p", { id: "procedure-verdict", class: "small", role: "status" });
    const changes = new TextDifference();
    text.value = given ?? detail.yaml;
    const check = async () => {
      this.asked += 1;
      const mine = this.asked;
      try {
        /** @type {Check} */
        const found = await call("POST", "procedures/check", { text: text.value });
        if (mine !== this.asked) return null;
        verdict.className = `small ${found.reads ? "rule-reads" : "rule-fails"}`;
        const place = found.line === null ? "" : t("procedure.place", { line: found.line, column: found.column ?? 1 });
        const go = found.line !== null && h("button", { type: "button", class: "quiet small", onclick: () => goTo(text, found.line ?? 1, found.column ?? 1) }, t("rule.go-to"));
        fill(verdict, found.reads ? `✓ ${t("procedure.reads", { version: found.version ?? 0, items: found.counts?.items ?? 0 })}` : h("span", {}, `✗ ${place} ${found.what ?? ""} `, go));
        changes.show(detail.yaml, text.value);
        return found;
      } catch (error) {
        if (mine === this.asked) fill(verdict, error instanceof Error ? error.message : "");
        return null;
      }
    };
    const later = () => {
      clearTimeout(this.waiting);
      this.waiting = window.setTimeout(() => void check(), PAUSE_MS);
    };
    const close = () => fill(this.editor);
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const reason = values(/** @type {HTMLFormElement} */ (event.target))["reason"];
      void this.act(async () => {
        const made = await call("POST", "procedures", { text: text.value, reason });
        this.shown = made.version;
        close();
      });
    };
    fill(
      this.editor,
      h("form", { class: "card stack", onsubmit }, h("h2", {}, t("procedure.write")), h("p", { class: "soft small" }, t("procedure.write-about")), h("label", {}, h("span", {}, t("procedure.text")), text), verdict, h("details", { open: given !== null }, h("summary", {}, t("procedure.changed", { version: detail.version })), changes), h("label", {}, h("span", {}, t("rule.reason")), h("input", { name: "reason", required: true, maxlength: "1000" })), h("div", { class: "row" }, h("button", { class: "primary" }, t("rule.propose")), h("button", { type: "button", onclick: close }, t("app.cancel")))),
    );
    if (given === null) {
      const free = (await check())?.next_version;
      if (free) text.value = text.value.replace(/^version: \d+$/m, `version: ${free}`);
    }
    await check();
    text.focus();
    this.editor.scrollIntoView({ block: "start" });
  }
}

/** @param {HTMLTextAreaElement} text @param {number} line @param {number} column */
function goTo(text, line, column) {
  const before = text.value.split("\n").slice(0, line - 1);
  const at = before.reduce((sum, one) => sum + one.length + 1, 0);
  text.focus();
  text.setSelectionRange(at + column - 1, at + (text.value.split("\n")[line - 1]?.length ?? 0));
  text.scrollTop = Math.max(0, ((line - 4) * text.scrollHeight) / Math.max(1, text.value.split("\n").length));
}

/** Send a file as it is. @param {string} path @param {File} file */
async function fetchBody(path, file) {
  const answer = await send("POST", path, /** @type {any} */ (await file.arrayBuffer()), "application/octet-stream");
  return answer.json();
}

customElements.define("procedures-page", ProceduresPage);
