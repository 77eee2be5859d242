// Credit of enterprises: the list, and one enterprise on a day: both grades with their reckoning, what follows, and what is on record.
import { ActingPage } from "./acting-page.js";
import { call, mayBe, part, whoami } from "./api.js";
import { component, fill, h, values } from "./dom.js";
import { RuleSetCard } from "./rule-set-card.js";
import { fileName, sendFiles } from "./sending-files.js";
import { language, moment, t } from "./words.js";

/** @typedef {{ciq: string, customs: string, draw: string, joint_list: boolean, direct: boolean, rate_percent: number, draw_adds: number | null, rules: string[]}} Grades */
/** @typedef {{enterprise: string, name: string | null, grades: Grades, events: number, open: number}} Row */
/** @typedef {{kind: string, key: string, grade: string, figures: Record<string, number>}} Part */
/** @typedef {{rules: string, verified: boolean, zh: string, en: string, grade: string, grade_zh: string, grade_en: string, points: number | null, parts: Part[], counted: {id: string, item: string, points: number, cycle: string}[], left: {id: string, why: string}[], sanction_zh: string, sanction_en: string}} Grading */
/** @typedef {{position: number, act: string, at_ms: number, by: string | null, reason: string | null, files: {name: string, sha256: string, here: boolean}[]}} Appeal */
/** @typedef {{position: number, item: string, day: string, expires: string | null, points: number | null, rule: string | null, at_ms: number, by: string | null, detail: string | null, evidence: string[], appeal: string, due_ms: number | null, appeals: Appeal[]}} CreditEvent */
/** @typedef {{enterprise: string, name: string | null, day: string, as_known: boolean, grades: Grades, gradings: Record<string, Grading>, events: CreditEvent[], words: {key: string, zh: string, en: string}[]}} Credit */
/** @typedef {{key: string, zh: string, en: string, legal_zh: string, legal_en: string, points: number, most: number | null}} Item */

/** @type {Record<string, string>} */
const LOOKS = { AA: "good", A: "good", B: "off", C: "warn", D: "bad", advanced: "good", certified: "good", regular: "off", dishonest: "warn", severe: "bad" };

/** What a thing is called in the reader's language. @param {{zh: string, en: string}} thing */
function spoken(thing) {
  return language() === "en" ? thing.en : thing.zh;
}

/** @param {string} grade @param {string} [word] */
function gradeBadge(grade, word = grade) {
  return h("span", { class: `badge long ${LOOKS[grade] ?? "off"}` }, h("i"), word);
}

export class CreditPage extends ActingPage {
  constructor() {
    super("credit");
    this.search = "";
    this.on = "";
    this.asKnown = false;
    /** @type {Item[]} */
    this.items = [];
    /** @type {string | null} */
    this.enterprise = null;
    /** @type {Map<string, string>} */
    this.words = new Map();
    this.shown = false;
  }

  frame() {
    this.enterprise = this.getAttribute("enterprise") ?? (mayBe("trader") ? (whoami()?.party ?? null) : null);
    const back = this.enterprise !== null && !mayBe("trader") && h("a", { class: "button", href: "/credit" }, t("credit.all"));
    const rules = this.enterprise !== null ? [] : ["ciq", "customs"].map((key) => component(RuleSetCard, { name: t("ruleset.of", { name: t(`credit.${key}`) }), read: `credit/rules/${key}`, write: "credit/rules" }));
    return [h("div", { class: "page-head" }, h("h1", {}, this.enterprise ?? t("nav.credit")), back), h("p", { class: "soft" }, t("credit.about")), this.said, this.body, ...rules];
  }

  async ask() {
    if (this.enterprise !== null) await this.one(this.enterprise);
    else await this.all();
  }

  // ------------------------------------------------------------------------------------------------------ the list

  async all() {
    /** @type {{day: string, enterprises: Row[]}} */
    const answer = await call("GET", `credit?search=${encodeURIComponent(this.search)}`);
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      this.search = values(/** @type {HTMLFormElement} */ (event.target))["search"] ?? "";
      void this.show();
    };
    const field = h("input", { name: "search", type: "search", value: this.search, maxlength: "100" });
    const rows = answer.enterprises.map((one) =>
      h(
        "tr",
        {},
        h("td", { "data-name": t("credit.enterprise") }, h("div", {}, h("a", { href: `/credit/${part(one.enterprise)}` }, one.name ?? one.enterprise), one.name && h("div", { class: "soft small" }, one.enterprise))),
        h("td", { "data-name": t("credit.ciq") }, gradeBadge(one.grades.ciq)),
        h("td", { "data-name": t("credit.customs") }, gradeBadge(one.grades.customs, t(`credit.grade-${one.grades.customs}`))),
        h("td", { "data-name": t("credit.events") }, String(one.events)),
        h("td", { "data-name": t("credit.open-appeals") }, one.open ? h("span", { class: "badge wait" }, h("i"), t("credit.waiting", { count: one.open })) : "–"),
        h("td", { "data-name": t("credit.follows") }, this.follows(one.grades)),
      ),
    );
    const heads = ["credit.enterprise", "credit.ciq", "credit.customs", "credit.events", "credit.open-appeals", "credit.follows"];
    fill(
      this.body,
      h("form", { class: "card row align-end", role: "search", onsubmit }, h("label", { class: "grow" }, h("span", {}, t("credit.search")), field), h("button", {}, t("credit.find"))),
      rows.length
        ? h("div", { class: "card scroll" }, h("table", { class: "fold" }, h("caption", { class: "soft small" }, t("credit.on-day", { day: answer.day })), h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows)))
        : h("div", { class: "empty" }, h("p", {}, t(this.search ? "credit.nobody-found" : "credit.nobody"))),
      mayBe("supervisor") && this.openForm(),
    );
  }

  /** A door to an enterprise that is in no list yet. */
  openForm() {
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const code = (values(/** @type {HTMLFormElement} */ (event.target))["code"] ?? "").toUpperCase();
      history.pushState(null, "", `/credit/${part(code)}`);
      window.dispatchEvent(new PopStateEvent("popstate"));
    };
    const field = h("input", { name: "code", required: true, pattern: "[0-9A-Za-z]{4,24}", maxlength: "24", autocapitalize: "characters" });
    return h("form", { class: "card row align-end", onsubmit }, h("label", { class: "grow" }, h("span", {}, t("credit.by-code")), field), h("button", {}, t("credit.open")));
  }

  /** @param {Grades} grades */
  follows(grades) {
    const words = [grades.draw_adds === null ? t("credit.draw-as", { grade: grades.draw }) : t("credit.draw-adds", { grade: grades.draw, percent: grades.draw_adds / 1e7 }), !grades.direct && t("credit.no-direct"), grades.joint_list && t("credit.joint")];
    return words.filter(Boolean).join(t("app.comma"));
  }

  // ------------------------------------------------------------------------------------------------- one enterprise

  /** @param {string} enterprise */
  async one(enterprise) {
    const asked = this.on ? `?on=${part(this.on)}&as_known=${this.asKnown}` : "";
    const [credit, items] = await Promise.all([/** @type {Promise<Credit>} */ (call("GET", `credit/${part(enterprise)}${asked}`)), mayBe("supervisor") && !this.items.length ? call("GET", "credit/items") : { items: this.items }]);
    this.items = items.items;
    this.words = new Map(credit.words.map((word) => [word.key, spoken(word)]));
    const head = this.querySelector("h1");
    if (head) head.textContent = credit.name ? `${credit.name} (${enterprise})` : enterprise;
    const upheld = new Set(credit.events.filter((one) => one.appeal === "upheld").map((one) => one.position));
    fill(
      this.body,
      this.dayForm(credit),
      h("div", { class: "verdict", "data-state": credit.grades.direct ? "verified" : "failed" }, h("strong", {}, t(this.on ? "credit.then" : "credit.now")), h("span", {}, this.follows(credit.grades))),
      h("p", { class: "soft small" }, t("credit.rate-about", { percent: credit.grades.rate_percent }), " ", credit.grades.draw_adds === null && t(this.on ? "credit.draw-then" : "credit.draw-none")),
      h("div", { class: "cards" }, ...Object.entries(credit.gradings).map(([key, grading]) => this.grading(key, grading, credit))),
      h("section", { class: "card" }, h("h2", {}, t("credit.on-record")), credit.events.length ? h("ul", {}, ...credit.events.map((one) => this.event(one, credit, upheld.has(one.position)))) : h("p", { class: "soft" }, t("credit.nothing"))),
      mayBe("supervisor") && this.addForm(enterprise),
    );
    const choice = this.body.querySelector("details[open] select[name=item]");
    if (!this.shown && choice instanceof HTMLElement) choice.focus();
    this.shown = true;
  }

  /** @param {Credit} credit */
  dayForm(credit) {
    const day = h("input", { name: "on", type: "date", value: this.on || credit.day, required: true });
    const known = h("input", { name: "known", type: "checkbox", checked: this.asKnown });
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      [this.on, this.asKnown] = [day.value, known.checked];
      void this.show();
    };
    const today = () => {
      [this.on, this.asKnown] = ["", false];
      void this.show();
    };
    return h("form", { class: "card row align-end", onsubmit }, h("label", {}, h("span", {}, t("credit.day")), day), h("label", { class: "row grow" }, known, h("span", {}, t("credit.as-known"))), h("button", {}, t("credit.show")), this.on !== "" && h("button", { type: "button", onclick: today }, t("credit.today")));
  }

  /** @param {string} key @param {Grading} grading @param {Credit} credit */
  grading(key, grading, credit) {
    const name = language() === "en" ? grading.grade_en : grading.grade_zh;
    const counted = grading.counted.filter((one) => one.points > 0);
    const sum = counted.map((one) => h("li", { class: "small" }, t("credit.takes", { name: this.words.get(one.item) ?? one.item, points: one.points, cycle: t(`credit.cycle-${one.cycle || "none"}`) })));
    return h(
      "section",
      { class: "card stack", "aria-label": t(`credit.${key}`) },
      h("div", { class: "row" }, h("h2", { class: "grow" }, t(`credit.${key}`)), gradeBadge(grading.grade, name)),
      h("p", { class: "small soft" }, spoken(grading), " · ", grading.rules, !grading.verified && " · ", !grading.verified && h("span", { class: "badge warn" }, h("i"), t("credit.unverified"))),
      h("ol", { class: "steps" }, ...grading.parts.map((one) => h("li", {}, this.sentence(one)))),
      sum.length > 0 && h("details", {}, h("summary", {}, t("credit.arithmetic")), h("ul", {}, ...sum)),
      grading.left.length > 0 && h("p", { class: "small soft" }, t("credit.left", { count: grading.left.length })),
      h("p", {}, h("strong", {}, t("credit.measures")), " ", language() === "en" ? grading.sanction_en : grading.sanction_zh),
      h("p", { class: "soft small" }, t("credit.on-day", { day: credit.day })),
    );
  }

  /** @param {Part} one */
  sentence(one) {
    const grade = this.words.get(one.grade) ?? one.grade;
    const figures = Object.entries(one.figures).map(([name, value]) => `${t(`credit.figure-${name.split(" ")[0]}`)} ${value}`);
    const name = this.words.get(one.key) ?? (one.key === "held" ? t("credit.held") : one.key);
    return t(`credit.part-${one.kind.replace(" ", "-")}`, { ...one.figures, grade, name, figures: figures.join(t("app.comma")) });
  }

  /** @param {CreditEvent} one @param {Credit} credit @param {boolean} upheld */
  event(one, credit, upheld) {
    const name = this.words.get(one.item) ?? one.item;
    const left = Object.values(credit.gradings).every((grading) => grading.left.some((each) => each.id === String(one.position)));
    const taken = Math.max(0, ...Object.values(credit.gradings).flatMap((grading) => grading.counted.filter((each) => each.id === String(one.position)).map((each) => each.points)));
    const harms = taken > 0 || Object.values(credit.gradings).some((grading) => grading.parts.some((each) => each.kind === "item" && each.key === one.item));
    const badge = upheld ? "off" : one.appeal === "filed" ? "wait" : left ? "off" : harms ? "warn" : "good";
    const word = upheld ? "credit.won" : one.appeal === "filed" ? "credit.appealed" : left ? "credit.counts-not" : "credit.counts";
    const late = one.due_ms !== null && one.due_ms < Date.now();
    return h(
      "li",
      { class: "list-item", "data-event": one.position },
      h(
        "div",
        { class: "grow stack" },
        h("div", { class: "row" }, upheld ? h("s", {}, h("strong", {}, name)) : h("strong", {}, name), h("span", { class: `badge ${badge}` }, h("i"), t(word)), taken > 0 && h("span", { class: "small" }, t("credit.points", { points: taken }))),
        h("div", { class: "small" }, upheld ? h("s", {}, one.detail ?? t("credit.erased")) : (one.detail ?? t("credit.erased"))),
        h("div", { class: "soft small" }, [one.day, one.expires && t("credit.until", { day: one.expires }), one.rule ? t("credit.by-rule", { rule: one.rule }) : (one.by ?? ""), t("credit.place", { position: one.position }), ...one.evidence].filter(Boolean).join(" · ")),
        ...one.appeals.map((act) => h("div", { class: "small" }, h("strong", {}, t(`credit.act-${act.act}`)), ` ${moment(act.at_ms)} ${act.by ?? ""} · ${act.reason ?? t("credit.erased")}`, ...act.files.map((file) => h("div", { class: "soft" }, fileName(file))))),
        one.due_ms !== null && h("div", { class: "small" }, h("span", { class: `badge ${late ? "bad" : "wait"}` }, h("i"), t(late ? "credit.overdue" : "credit.due", { time: moment(one.due_ms) }))),
        one.appeal === "filed" && mayBe("supervisor") && this.decision(one),
        !this.on && ["none", "rejected"].includes(one.appeal) && mayBe("trader") && this.appealForm(one),
      ),
    );
  }

  /** @param {CreditEvent} one */
  decision(one) {
    if (one.by === whoami()?.person) return h("p", { class: "notice" }, t("credit.another-decides"));
    const reason = h("input", { name: "reason", required: true, maxlength: "1000" });
    /** @param {boolean} upheld */
    const decide = (upheld) => {
      if (reason.reportValidity()) void this.act(() => call("POST", `credit/events/${one.position}/decision`, { upheld, reason: reason.value.trim() }));
    };
    return h("div", { class: "row align-end" }, h("label", { class: "grow" }, h("span", {}, t("credit.reason")), reason), h("button", { class: "primary", onclick: () => decide(true) }, t("credit.uphold")), h("button", { class: "danger", onclick: () => decide(false) }, t("credit.reject")));
  }

  /** @param {CreditEvent} one */
  appealForm(one) {
    const reason = h("textarea", { name: "reason", required: true, maxlength: "1000", rows: "3" });
    const files = h("input", { name: "files", type: "file", multiple: true });
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      void this.act(async () => call("POST", `credit/events/${one.position}/appeals`, { reason: reason.value.trim(), files: (await sendFiles(files.files ?? [], `credit event ${one.position}`)).map(({ name, sha256 }) => ({ name, sha256 })) }));
    };
    return h("details", {}, h("summary", {}, t("credit.appeal")), h("form", { class: "stack", onsubmit }, h("p", { class: "soft small" }, t("credit.appeal-about")), h("label", {}, h("span", {}, t("credit.reason")), reason), h("label", {}, h("span", {}, t("credit.files")), files), h("button", { class: "primary" }, t("credit.file-appeal"))));
  }

  /** @param {string} enterprise */
  addForm(enterprise) {
    const evidence = new URLSearchParams(location.search).get("evidence") ?? "";
    const choice = h("select", { name: "item", required: true, onchange: () => told() }, h("option", { value: "" }, t("credit.choose")), ...this.items.map((item) => h("option", { value: item.key }, spoken(item))));
    const legal = h("p", { class: "soft small" });
    const points = h("input", { name: "points", type: "number", min: "0", max: "10000", inputmode: "numeric" });
    const told = () => {
      const item = this.items.find((one) => one.key === choice.value);
      legal.textContent = item ? `${language() === "en" ? item.legal_en : item.legal_zh} · ${t("credit.points", { points: item.most ? `${item.points}–${item.most}` : item.points })}` : "";
      points.disabled = !item?.most;
      if (item) [points.min, points.max] = [String(item.points), String(item.most ?? item.points)];
    };
    told();
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const form = /** @type {HTMLFormElement} */ (event.target);
      const given = values(form);
      const ask = { item: given["item"], detail: given["detail"], day: given["day"] || null, expires: given["expires"] || null, points: given["points"] ? Number(given["points"]) : null, evidence: (given["evidence"] ?? "").split(/\s*,\s*/).filter(Boolean) };
      void this.act(async () => {
        await call("POST", `credit/${part(enterprise)}/events`, ask);
        history.replaceState(null, "", location.pathname); // what it was filled with is on record now
      });
    };
    return h(
      "details",
      { class: "card", open: evidence !== "" },
      h("summary", {}, h("strong", {}, t("credit.add"))),
      h(
        "form",
        { class: "stack below", onsubmit },
        h("p", { class: "soft small" }, t("credit.add-about")),
        h("label", {}, h("span", {}, t("credit.item")), choice),
        legal,
        h("label", {}, h("span", {}, t("credit.detail")), h("textarea", { name: "detail", required: true, maxlength: "1000", rows: "3" })),
        h("div", { class: "row align-end" }, h("label", {}, h("span", {}, t("credit.happened")), h("input", { name: "day", type: "date" })), h("label", {}, h("span", {}, t("credit.expires")), h("input", { name: "expires", type: "date" })), h("label", {}, h("span", {}, t("credit.own-points")), points)),
        h("label", {}, h("span", {}, t("credit.evidence")), h("input", { name: "evidence", maxlength: "1000", value: evidence })),
        h("button", { class: "primary" }, t("credit.put")),
      ),
    );
  }
}

customElements.define("credit-page", CreditPage);
