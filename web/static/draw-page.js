// Draws: the list, and one draw with the parts of each probability, its teams, its two-person acts, and its bundle to take away.
import { askAct } from "./act-dialog.js";
import { call, mayBe, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h, values } from "./dom.js";
import { moment, t } from "./words.js";

/** @typedef {{number: number, state: string, closes_ms: number, declarations: number | null, inspectors: number | null, selected: number | null, position: number}} Draw */
/** @typedef {{national: number, risk: number, credit: number, floor: number, total: number}} Parts */
/** @typedef {{declaration: string, stratum: string, lane: string, grade: string, parts: Parts, why: string, team: string[], final: string[]}} Drawn */
/** @typedef {{position: number, act: string, by: string, second: string, reason: string, declaration: string | null, inspector: string | null, members: string[] | null, kind: string | null, id: string | null}} Act */
/** @typedef {Draw & {rules: string, named: string[], needed: number, seed: string | null, total: number, rows: Drawn[], acts: Act[]}} Detail */

const PAGE = 100;
const PARTS = /** @type {const} */ (["national", "risk", "credit", "floor", "total"]);
const GOOD = ["drawn"];

/** @param {number} parts */
function percent(parts) {
  return `${(parts / 1e7).toFixed(2)} %`;
}

/** @param {number | null} value */
function count(value) {
  return value === null ? "–" : String(value);
}

/** The one spelling of a JSON value: sorted names, no blanks. @param {any} value @returns {string} */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value !== null && typeof value === "object") return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join()}}`;
  return JSON.stringify(value);
}

/** What each act of two persons asks for besides. */
function two() {
  return [
    { name: "reason", word: t("draw.reason") },
    { name: "second", word: t("draw.second"), type: "text" },
    { name: "second_password", word: t("draw.second-password"), type: "password" },
  ];
}

/** Leave a declaration or an inspector out of pools. */
function leaveOut() {
  const kinds = /** @type {[string, string][]} */ (["declaration", "inspector"].map((kind) => [kind, t(`draw.kind-${kind}`)]));
  const fields = [{ name: "kind", word: t("draw.kind"), options: kinds }, { name: "id", word: t("draw.id"), type: "text", hint: t("draw.id-hint") }, ...two()];
  return askAct({ title: t("draw.leave-out"), effect: t("draw.leave-out-effect"), danger: true, fields, act: (given) => call("POST", "draws/exclusions", given) });
}

/** @param {string} kind @param {string} id */
function takeIn(kind, id) {
  return askAct({ title: t("draw.take-in"), effect: t("draw.take-in-effect", { id }), fields: two(), act: (given) => call("POST", "draws/exclusions", { ...given, kind, id, readmit: true }) });
}

/** @param {string} number of the draw @param {Drawn} one */
function stepBack(number, one) {
  const team = /** @type {[string, string][]} */ (one.final.map((name) => [name, name]));
  const fields = [{ name: "inspector", word: t("draw.who"), options: team }, ...two()];
  return askAct({ title: t("draw.step-back"), effect: t("draw.step-back-effect", { number: one.declaration }), danger: true, fields, act: (given) => call("POST", `draws/${part(number)}/refusals`, { ...given, declaration: one.declaration }) });
}

/** @param {string} number of the draw @param {Drawn} one */
async function otherTeam(number, one) {
  const entries = /** @type {{key: string, value: {display?: string} | null}[]} */ ((await call("GET", "references/inspector").catch(() => ({ entries: [] }))).entries);
  const known = /** @type {[string, string][]} */ (entries.map((entry) => [entry.key, entry.value?.display && entry.value.display !== entry.key ? `${entry.value.display} (${entry.key})` : entry.key]));
  return askAct({
    title: t("draw.other-team"),
    effect: t("draw.other-team-effect", { number: one.declaration, team: one.final.join(t("app.comma")) || "–" }),
    danger: true,
    fields: [{ name: "lead", word: t("draw.lead"), options: known }, { name: "assistant", word: t("draw.assistant"), options: known, required: false }, ...two()],
    act: ({ lead, assistant, ...given }) => call("POST", `draws/${part(number)}/overrides`, { ...given, declaration: one.declaration, members: [...new Set([lead, assistant].filter(Boolean))] }),
  });
}

/** @param {string} state */
function badge(state) {
  return h("span", { class: `badge ${GOOD.includes(state) ? "good" : "off"}` }, h("i"), t(`draw.state-${state.replace(" ", "-")}`));
}

export class DrawPage extends HTMLElement {
  constructor() {
    super();
    this.said = h("p", { class: "notice hidden", role: "status" });
    this.body = h("div", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    this.policy = h("form", { class: "card stack", onsubmit: (/** @type {Event} */ event) => this.setPolicy(event) });
    this.offset = 0;
    this.selected = true;
    /** @type {(() => void) | null} */
    this.unhear = null;
  }

  connectedCallback() {
    this.number = this.getAttribute("task");
    this.classList.add("stack");
    this.style.display = "block";
    const page = h("a", { class: "button", href: "/api/v1/draws/page", download: "draw.html" }, t("draw.page"));
    const title = this.number ? t("draw.one", { number: this.number }) : t("nav.draws");
    const bundle = this.number && h("a", { class: "button primary hidden", id: "bundle", href: `/api/v1/draws/${part(this.number)}/bundle`, download: "" }, t("draw.bundle"));
    const back = this.number && h("a", { class: "button", href: "/draws" }, t("draw.all"));
    fill(this, h("div", { class: "page-head" }, h("h1", {}, title), h("div", { class: "row" }, back, page, bundle)), h("p", { class: "soft" }, t("draw.about")), !this.number && mayBe("supervisor") && this.form(), !this.number && mayBe("administrator") && this.policy, this.said, this.body);
    if (!this.number && mayBe("administrator")) void this.drawPolicy();
    this.unhear = whenChanged(["draw"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.unhear?.();
  }

  form() {
    const field = h("input", { name: "minutes", type: "number", min: "1", max: "10080", value: "10", required: true });
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const minutes = Number(values(/** @type {HTMLFormElement} */ (event.target))["minutes"]);
      void this.act(() => call("POST", "draws", { closes_ms: Date.now() + minutes * 60_000 }));
    };
    return h("form", { class: "card row align-end", onsubmit }, h("label", {}, h("span", {}, t("draw.closes-in")), field), h("button", { class: "primary" }, t("draw.call")));
  }

  async drawPolicy() {
    /** @type {{in_force: boolean, text: string, key: string}} */
    const known = await call("GET", "draws/policy");
    const text = h("textarea", { name: "text", rows: "14", required: true, spellcheck: "false", class: "mono" });
    text.value = JSON.stringify(JSON.parse(known.text), null, 1);
    fill(
      this.policy,
      h("h2", {}, t("draw.policy")),
      h("p", { class: known.in_force ? "soft" : "notice" }, t(known.in_force ? "draw.policy-in-force" : "draw.policy-shipped")),
      h("p", { class: "soft small" }, t("draw.own-key"), " ", h("code", {}, known.key)),
      h("label", {}, h("span", {}, t("draw.policy-text")), text),
      h("div", { class: "row align-end" }, h("label", {}, h("span", {}, t("draw.second")), h("input", { name: "second", required: true, maxlength: "40", autocapitalize: "none", autocomplete: "off" })), h("label", {}, h("span", {}, t("draw.second-password")), h("input", { name: "second_password", type: "password", required: true, autocomplete: "off" })), h("label", { class: "grow" }, h("span", {}, t("draw.reason")), h("input", { name: "reason", required: true, maxlength: "1000" })), h("button", { class: "primary" }, t("draw.set-policy"))),
    );
  }

  /** @param {Event} event */
  setPolicy(event) {
    event.preventDefault();
    const given = values(this.policy);
    void this.act(async () => {
      await call("POST", "draws/policy", { text: canonical(JSON.parse(given["text"] ?? "")), second: given["second"], second_password: given["second_password"], reason: given["reason"] });
      await this.drawPolicy();
    });
  }

  /** Ask for an act of two persons, and show what it made. @param {() => Promise<boolean>} ask */
  async ask(ask) {
    if (!(await ask())) return;
    this.said.className = "notice good";
    this.said.textContent = t("draw.done");
    await this.refresh();
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

  async refresh() {
    try {
      if (this.number) await this.one(this.number);
      else await this.all();
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  async all() {
    /** @type {{draws: Draw[], faults: string[], acts: Act[]}} */
    const answer = await call("GET", "draws");
    const running = answer.draws[0]?.state === "closed" && answer.faults.length > 0;
    const heads = ["draw.number", "draw.state", "draw.closes", "draw.declarations", "draw.inspectors", "draw.selected"];
    const rows = answer.draws.map((one) =>
      h(
        "tr",
        {},
        h("td", { "data-name": t("draw.number") }, h("a", { href: `/draws/${one.number}` }, t("draw.one", { number: one.number }))),
        h("td", { "data-name": t("draw.state") }, badge(one.state)),
        h("td", { "data-name": t("draw.closes") }, moment(one.closes_ms)),
        ...[one.declarations, one.inspectors, one.selected].map((value, at) => h("td", { "data-name": t(heads[at + 3] ?? "") }, count(value))),
      ),
    );
    fill(
      this.body,
      running && h("p", { class: "notice bad" }, t("draw.waiting"), " ", answer.faults.join("; ")),
      rows.length ? h("div", { class: "card scroll" }, this.table(heads, rows)) : h("div", { class: "empty" }, h("p", {}, t("draw.none"))),
      this.left(answer.acts),
    );
  }

  /** Who and what was left out of pools, for ever; what still is can be taken in again. @param {Act[]} acts newest first */
  left(acts) {
    const may = mayBe("supervisor");
    const said = new Set();
    const lines = acts.map((one) => {
      const key = `${one.kind} ${one.id}`;
      const isOut = one.act === "excluded" && !said.has(key);
      said.add(key);
      const again = isOut && may && h("button", { onclick: () => void this.ask(() => takeIn(one.kind ?? "", one.id ?? "")) }, t("draw.take-in"));
      return h("li", {}, this.told(one), " ", again);
    });
    const leave = may && h("div", { class: "row" }, h("button", { class: "danger", onclick: () => void this.ask(leaveOut) }, t("draw.leave-out")));
    if (!lines.length && !leave) return null;
    const shown = lines.length ? h("div", { class: "notice bad" }, h("ul", {}, ...lines)) : h("p", { class: "soft" }, t("draw.left-none"));
    return h("section", { class: "card stack", "aria-label": t("draw.left") }, h("h2", {}, t("draw.left")), shown, leave);
  }

  /** @param {Act} one */
  told(one) {
    const about = one.declaration ?? (one.kind ? `${t(`draw.kind-${one.kind}`)} ${one.id}` : "");
    return h("span", {}, h("strong", {}, t(`draw.act-${one.act}`)), ` ${about} ${one.inspector ?? (one.members ?? []).join(", ")} · ${one.by}, ${one.second}: ${one.reason} (${one.position})`);
  }

  /** @param {string} number */
  async one(number) {
    /** @type {Detail} */
    const draw = await call("GET", `draws/${part(number)}?selected=${this.selected}&offset=${this.offset}&limit=${PAGE}`);
    const over = draw.seed !== null;
    this.querySelector("#bundle")?.classList.toggle("hidden", !over);
    const facts = /** @type {[string, string | Node][]} */ ([
      ["draw.state", badge(draw.state)],
      ["draw.closes", moment(draw.closes_ms)],
      ["draw.rules", draw.rules],
      ["draw.named", `${draw.named.join(", ")} (${t("draw.needed", { count: draw.needed })})`],
      ["draw.declarations", count(draw.declarations)],
      ["draw.inspectors", count(draw.inspectors)],
      ["draw.selected", count(draw.selected)],
      ["draw.seed", h("code", {}, draw.seed ?? "–")],
    ]);
    const acts = draw.acts.map((one) => h("li", {}, this.told(one)));
    fill(
      this.body,
      h("dl", { class: "card facts" }, ...facts.flatMap(([word, value]) => [h("dt", {}, t(word)), h("dd", {}, value)])),
      acts.length > 0 && h("div", { class: "notice bad" }, h("p", {}, t("draw.acts")), h("ul", {}, ...acts)),
      over ? this.rows(draw) : h("p", { class: "soft" }, t("draw.not-over")),
    );
  }

  /** @param {Detail} draw */
  rows(draw) {
    const heads = ["draw.declaration", ...PARTS.map((name) => `draw.${name}`), "draw.why", "draw.team"];
    const lines = draw.rows.map((one) =>
      h(
        "tr",
        {},
        h("td", { "data-name": t("draw.declaration") }, h("div", {}, h("strong", {}, one.declaration), h("div", { class: "soft small" }, `${one.stratum} · ${one.lane} · ${one.grade}`))),
        ...PARTS.map((name) => h("td", { "data-name": t(`draw.${name}`) }, name === "total" ? h("strong", {}, percent(one.parts[name])) : percent(one.parts[name]))),
        h("td", { "data-name": t("draw.why") }, t(`draw.why-${one.why || "not"}`)),
        h("td", { "data-name": t("draw.team") }, h("div", {}, one.final.join(", ") || "–", one.final.join() !== one.team.join() && h("div", { class: "soft small" }, h("s", {}, one.team.join(", "))), this.changes(draw, one))),
      ),
    );
    const more = this.offset + PAGE < draw.total;
    /** @param {number} by */
    const turn = (by) => {
      this.offset = Math.max(0, this.offset + by);
      void this.refresh();
    };
    const toggle = () => {
      [this.selected, this.offset] = [!this.selected, 0];
      void this.refresh();
    };
    return h(
      "div",
      { class: "card stack" },
      h("div", { class: "row" }, h("button", { onclick: toggle, "aria-pressed": String(this.selected) }, t("draw.only-selected")), h("span", { class: "soft" }, t("draw.shown", { from: draw.total ? this.offset + 1 : 0, to: this.offset + draw.rows.length, total: draw.total }))),
      h("div", { class: "scroll", tabindex: "0" }, this.table(heads, lines)),
      h("div", { class: "row" }, this.offset > 0 && h("button", { onclick: () => turn(-PAGE) }, t("draw.before")), more && h("button", { onclick: () => turn(PAGE) }, t("draw.after"))),
    );
  }

  /** What two supervisors may change of a drawn declaration; nobody steps back from a team that was overridden. @param {Detail} draw @param {Drawn} one */
  changes(draw, one) {
    if (!one.why || !mayBe("supervisor")) return null;
    const isOverridden = draw.acts.some((act) => act.act === "overridden" && act.declaration === one.declaration);
    const number = String(draw.number);
    return h(
      "div",
      { class: "row" },
      !isOverridden && one.final.length > 0 && h("button", { onclick: () => void this.ask(() => stepBack(number, one)) }, t("draw.step-back")),
      h("button", { class: "danger", onclick: () => void this.ask(() => otherTeam(number, one)) }, t("draw.other-team")),
    );
  }

  /** @param {string[]} heads @param {Node[]} rows */
  table(heads, rows) {
    return h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows));
  }
}

customElements.define("draw-page", DrawPage);
