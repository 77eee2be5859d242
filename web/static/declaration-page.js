// One declaration: its state as steps, what comes next and what blocks it, versions with differences, history, files, holds.
import { askAct } from "./act-dialog.js";
import { call, mayBe, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { askFor } from "./confirming.js";
import { colourOf, holdBadges, stateBadge } from "./declaration-state.js";
import { differences } from "./declaration-shape.js";
import { component, fill, h, values } from "./dom.js";
import { InspectionVerdict } from "./inspection-verdict.js";
import { bytes, known, moment, t } from "./words.js";

/** @typedef {import("./declaration-state.js").Declaration} Declaration */
/** @typedef {import("./declaration-state.js").Place} Place */
/** @typedef {Declaration & {onward: {to: string, obstacles: string[]}[], may_amend: boolean, may_withdraw: boolean}} Detail */
/** @typedef {{record: Place, kind: string, act: string, version: number | null, authority: string | null, rule: string | null, at_ms: number, by: string | null, reason: string | null, said: Record<string, unknown> | null}} Step */
/** @typedef {{version: number, form: any, files: {name: string, kind: string, sha256: string, size: number, state: string}[]}} Version */

const ENDED = ["archived"];
const BEFORE_WORK = ["lodged", "rejected", "accepted", "screened", "selected", "held", "dispatched", "positioned", "paired", "withdrawn"]; // nothing to judge yet
const ASIDE = ["withdrawn", "rejected"]; // ways out that nobody waits for
const LINES_SHOWN = 40;

/** Attribute `number`. */
export class DeclarationPage extends HTMLElement {
  constructor() {
    super();
    this.head = h("div", { class: "page-head" }, h("span", { class: "pulse" }, t("app.loading")));
    this.said = h("p", { class: "notice hidden", role: "status" });
    this.track = h("ol", { class: "track", "aria-label": t("declaration.track") });
    this.onward = h("section", { class: "card stack" });
    this.gate = h("div", {});
    this.content = h("section", { class: "card stack" });
    this.versions = h("section", { class: "card stack hidden" });
    this.files = h("section", { class: "card" });
    this.history = h("section", { class: "card" });
    this.facts = h("section", { class: "card" });
    this.holding = h("section", { class: "card stack hidden" });
    this.drawn = "";
    this.story = h("div", {});
    this.risk = h("section", { class: "card hidden" });
    this.unhear = () => {};
  }

  get number() {
    return this.getAttribute("number") ?? "";
  }

  connectedCallback() {
    if (mayBe("supervisor", "inspector", "administrator")) void import("./risk-parts.js").then(({ RiskParts }) => this.showRisk(component(RiskParts, { declaration: this.number })));
    if (mayBe("supervisor", "administrator")) void import("./inspection-story.js").then(({ InspectionStory }) => fill(this.story, component(InspectionStory, { number: this.number })));
    this.style.display = "block";
    fill(this, this.head, this.said, this.track, h("div", { class: "columns" }, h("div", { class: "stack" }, this.onward, this.gate, this.content, this.versions, this.history, this.story), h("div", { class: "stack" }, this.facts, this.risk, this.holding, this.files)));
    this.unhear = whenChanged(["declaration"], () => this.refresh());
    void this.refresh();
  }

  /** @param {HTMLElement} parts */
  showRisk(parts) {
    this.risk.classList.remove("hidden");
    fill(this.risk, h("h2", {}, t("risk.title")), parts);
  }

  disconnectedCallback() {
    this.unhear();
  }

  async refresh() {
    const path = `declarations/${part(this.number)}`;
    try {
      const [detail, history] = /** @type {[Detail, {steps: Step[]}]} */ (await Promise.all([call("GET", path), call("GET", `${path}/history`)]));
      this.drawHead(detail);
      this.drawTrack(detail, history.steps);
      this.drawOnward(detail, history.steps);
      this.drawHistory(history.steps);
      this.drawHolding(detail);
      if (mayBe("supervisor", "inspector", "administrator") && !BEFORE_WORK.includes(detail.state) && !this.gate.firstChild) fill(this.gate, component(InspectionVerdict, { declaration: this.number }));
      if (this.drawn !== String(detail.version)) await this.drawForm(detail, path);
    } catch (error) {
      fill(this, h("p", { class: "notice bad", role: "alert" }, error instanceof Error ? error.message : ""), h("a", { class: "button", href: "/declarations" }, t("nav.declarations")));
    }
  }

  /** @param {Detail} one */
  drawHead(one) {
    const withdraw = async () => {
      const reason = await askFor(t("declaration.withdraw-effect", { number: one.number }), t("form.reason"), t("declaration.withdraw"));
      if (reason !== null) await this.act(() => call("POST", `declarations/${part(one.number)}/withdrawal`, { reason }));
    };
    fill(
      this.head,
      h("h1", {}, one.number),
      stateBadge(one.state),
      ...holdBadges(one),
      one.held && h("span", { class: "badge warn" }, h("i"), t("declaration.held-here")),
      h("div", { class: "row" }, one.may_amend && h("a", { class: "button", href: `/declarations/${one.number}/amend` }, t("declaration.amend")), one.may_withdraw && h("button", { class: "danger", onclick: () => void withdraw() }, t("declaration.withdraw"))),
    );
    /** @type {[string, string | Node][]} */
    const facts = [
      ["form.reference", one.reference],
      ["form.enterprise", one.enterprise],
      ["declaration.version", String(one.version)],
      ["declaration.lodged", moment(one.lodged_ms)],
      ["declaration.changed", moment(one.changed_ms)],
      ["declaration.newest", this.place(one.record)],
    ];
    fill(this.facts, h("h2", {}, t("declaration.facts")), h("dl", {}, ...facts.flatMap(([word, value]) => [h("dt", {}, t(word)), h("dd", {}, value)])));
  }

  /** The states it passed, where it stands, and where it may go. @param {Detail} one @param {Step[]} steps */
  drawTrack(one, steps) {
    const passed = ["lodged", ...steps.filter((step) => step.kind === "step").map((step) => step.act)];
    if (passed.at(-1) !== one.state) passed.push(one.state);
    const items = passed.map((state, at) => {
      const now = at === passed.length - 1;
      return h("li", { class: now ? `now ${colourOf(state)}` : "passed", "aria-current": now ? "step" : null }, h("span", {}, t(`declared.${state}`)), !now && h("span", { class: "unseen" }, ` (${t("declaration.passed")})`));
    });
    const [only, ...others] = one.onward.map((step) => step.to).filter((to) => !ASIDE.includes(to));
    const next = ENDED.includes(one.state) ? [] : [h("li", { class: "next" }, h("span", {}, only && !others.length ? t(`declared.${only}`) : t("declaration.then")))];
    fill(this.track, ...items, ...next);
    this.track.querySelector(".now")?.scrollIntoView?.({ block: "nearest", inline: "center" });
  }

  /** @param {Detail} one @param {Step[]} steps */
  drawOnward(one, steps) {
    const why = [...steps].reverse().find((step) => step.act === one.state && step.reason)?.reason;
    const blocked = one.onward.filter((step) => step.obstacles.length);
    fill(
      this.onward,
      h("h2", {}, t("declaration.next")),
      h("p", {}, h("strong", {}, t(`coming.${one.state}`))),
      why && h("p", { class: colourOf(one.state) === "bad" ? "notice bad" : "notice" }, t("declaration.why", { reason: why })),
      blocked.length > 0 && h("ul", { class: "obstacles" }, ...blocked.map((step) => h("li", {}, h("span", { class: "badge bad" }, h("i"), t("declaration.blocked", { state: t(`declared.${step.to}`) })), " ", step.obstacles.join("; ")))),
      one.onward.length > 0 && h("p", { class: "soft small" }, t("declaration.may-go", { states: one.onward.map((step) => t(`declared.${step.to}`)).join(t("app.comma")) })),
    );
  }

  /** @param {Place} place */
  place(place) {
    const words = t("declaration.record", { position: String(place.position) });
    return h("a", { href: `/records/${place.issuer}/${place.epoch}/${place.position}` }, words);
  }

  /** @param {Step[]} steps */
  drawHistory(steps) {
    const rows = [...steps].reverse().map((step) => {
      const what = step.kind === "step" ? t("declaration.stepped", { state: t(`declared.${step.act}`) }) : t(`declaration.act-${step.kind}-${step.act}`, { version: String(step.version ?? ""), authority: step.authority ?? "" });
      const said = step.said && Object.keys(step.said).length > 0 && h("details", {}, h("summary", {}, t("declaration.inputs")), h("pre", { class: "mono scroll", tabindex: "0" }, JSON.stringify(step.said, null, 1)));
      const who = [step.by, step.rule && t("declaration.by-rule", { rule: step.rule })].filter(Boolean).join(" · ");
      return h("li", { class: "list-item" }, h("div", { class: "grow" }, h("strong", {}, what), h("div", { class: "soft small" }, moment(step.at_ms), who && ` · ${who}`), step.reason && h("div", {}, step.reason), said || null), this.place(step.record));
    });
    fill(this.history, h("h2", {}, t("declaration.history")), h("ul", {}, ...rows));
  }

  /** @param {Detail} one @param {string} path */
  async drawForm(one, path) {
    const newest = /** @type {Version} */ (await call("GET", `${path}/form`));
    this.drawn = String(one.version);
    this.drawContent(newest.form);
    const files = newest.files.map((file) => {
      const here = file.state === "here";
      const name = here ? h("a", { href: `/api/v1/files/${file.sha256}/content`, download: file.name }, file.name) : file.name;
      return h("li", { class: "list-item" }, h("div", { class: "grow" }, h("strong", {}, name), h("div", { class: "soft small" }, `${known("choice", file.kind)} · ${bytes(file.size)}`)), h("span", { class: `badge ${here ? "good" : "wait"}` }, h("i"), t(here ? "declaration.file-here" : "declaration.file-awaited")));
    });
    fill(this.files, h("h2", {}, t("form.section-attachments")), files.length ? h("ul", {}, ...files) : h("p", { class: "soft" }, t("declaration.no-files")));
    this.versions.classList.toggle("hidden", one.version < 2);
    if (one.version > 1) await this.compare(one.version - 1, one.version, one.version);
  }

  /** @param {any} form */
  drawContent(form) {
    const { goods, containers, permits, attachments, ...rest } = form;
    const facts = differences({}, rest);
    const table = (/** @type {string} */ name, /** @type {any[]} */ lines, /** @type {string[]} */ columns) =>
      lines.length > 0 &&
      h(
        "div",
        {},
        h("h3", {}, `${t(`form.section-${name}`)} (${lines.length})`),
        h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...columns.map((column) => h("th", { scope: "col" }, t(`form.${name}.${column}`))))), h("tbody", {}, ...lines.slice(0, LINES_SHOWN).map((line) => h("tr", {}, ...columns.map((column) => h("td", { "data-name": t(`form.${name}.${column}`) }, say(line[column])))))))),
        lines.length > LINES_SHOWN && h("p", { class: "soft small" }, t("declaration.more-lines", { count: lines.length - LINES_SHOWN })),
      );
    fill(
      this.content,
      h("h2", {}, t("declaration.content")),
      h("dl", {}, ...facts.flatMap(([path, , value]) => [h("dt", {}, known("form", path)), h("dd", {}, known("choice", value))])),
      table("goods", goods, ["line", "hs", "name", "origin", "weight_kg", "packages", "containers"]),
      table("containers", containers, ["number", "type", "seals", "reefer"]),
      table("permits", permits, ["kind", "number", "issued", "expires", "lines"]),
    );
  }

  /** @param {number} before @param {number} after @param {number} count */
  async compare(before, after, count) {
    const path = `declarations/${part(this.number)}/form`;
    const numbers = Array.from({ length: count }, (_, at) => at + 1);
    const pick = (/** @type {string} */ word, /** @type {number} */ chosen, /** @type {(version: number) => void} */ choose) => {
      const select = h("select", { onchange: () => choose(Number(select.value)) }, ...numbers.map((one) => h("option", { value: String(one), selected: one === chosen }, t("declaration.version-one", { version: one }))));
      return h("label", {}, h("span", {}, t(word)), select);
    };
    /** @type {Node} */
    let shown;
    try {
      const [old, now] = await Promise.all([call("GET", `${path}?version=${before}`), call("GET", `${path}?version=${after}`)]);
      const found = differences(old.form, now.form);
      const rows = found.slice(0, 200).map(([place, was, is]) => h("tr", {}, h("td", { "data-name": t("declaration.field") }, spoken(place)), h("td", { "data-name": t("declaration.before") }, was ? h("del", {}, was) : "–"), h("td", { "data-name": t("declaration.after") }, is ? h("ins", {}, is) : "–")));
      shown = rows.length ? h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...["field", "before", "after"].map((word) => h("th", { scope: "col" }, t(`declaration.${word}`))))), h("tbody", {}, ...rows)) : h("p", { class: "soft" }, t("declaration.same"));
    } catch (error) {
      shown = h("p", { class: "notice" }, error instanceof Error ? error.message : "");
    }
    fill(this.versions, h("h2", {}, t("declaration.versions")), h("div", { class: "row" }, pick("declaration.before", before, (version) => void this.compare(version, after, count)), pick("declaration.after", after, (version) => void this.compare(before, version, count))), h("div", { class: "scroll", tabindex: "0" }, shown));
  }

  /** Other authorities' holds, entered by a supervisor. @param {Detail} one */
  drawHolding(one) {
    this.holding.classList.toggle("hidden", !mayBe("supervisor"));
    if (!mayBe("supervisor") || this.holding.contains(document.activeElement)) return;
    const lift = async (/** @type {string} */ authority) => {
      const fields = [{ name: "reason", word: t("form.reason") }, { name: "second", word: t("gate.second"), type: "text" }, { name: "second_password", word: t("gate.second-password"), type: "password" }];
      await askAct({ title: t("declaration.lift"), effect: t("declaration.lift-effect", { authority }), danger: true, fields, act: (given) => call("POST", `declarations/${part(one.number)}/holds/lift`, { ...given, authority }) });
      await this.refresh();
    };
    const form = h(
      "form",
      {
        class: "stack",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          const given = values(form);
          void this.act(() => call("POST", `declarations/${part(one.number)}/holds`, { authority: given["authority"], reason: given["reason"] }));
          /** @type {HTMLElement | null} */ (document.activeElement)?.blur();
        },
      },
      h("label", {}, h("span", {}, t("declaration.authority")), h("input", { name: "authority", required: true, maxlength: "40", autocapitalize: "none" })),
      h("label", {}, h("span", {}, t("form.reason")), h("input", { name: "reason", required: true, maxlength: "1000" })),
      h("button", {}, t("declaration.place")),
    );
    fill(this.holding, h("h2", {}, t("declaration.holds")), h("p", { class: "soft small" }, t("declaration.holds-about")), ...one.holds.map((authority) => h("div", { class: "list-item" }, h("strong", { class: "grow" }, authority), h("button", { onclick: () => void lift(authority) }, t("declaration.lift")))), h("details", {}, h("summary", {}, t("declaration.place-one")), form));
  }

  /** @param {() => Promise<unknown>} work */
  async act(work) {
    try {
      await work();
      this.said.className = "notice good";
      this.said.textContent = t("draw.done");
    } catch (error) {
      this.said.className = "notice bad";
      this.said.textContent = error instanceof Error ? error.message : "";
    }
    await this.refresh();
  }
}

/** @param {unknown} value */
function say(value) {
  if (Array.isArray(value)) return value.join(", ") || "–";
  if (typeof value === "boolean") return t(value ? "form.yes" : "form.no");
  return value === null || value === undefined || value === "" ? "–" : known("choice", String(value));
}

/** A path in words: `goods[2].hs` is goods, line 3, HS code. @param {string} path */
function spoken(path) {
  const [, list, at, rest] = /^(\w+)\[(\d+)\]\.?(.*)$/.exec(path) ?? [];
  if (!list) return known("form", path);
  return `${t(`form.one-${list}`)} ${Number(at) + 1} · ${known("form", `${list}.${(rest ?? "").replace(/\[\d+\]/g, "")}`)}`;
}

customElements.define("declaration-page", DeclarationPage);
