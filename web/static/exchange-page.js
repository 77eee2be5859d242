// Messages with the port's other systems: how each partner's exchange goes, what came and went, raw and read, and sending again.
import { askAct } from "./act-dialog.js";
import { call, mayBe } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h, values } from "./dom.js";
import { bytes, known, moment, t } from "./words.js";

/** @typedef {{partner: string, name: string, role: string, ways: string[], address: string | null, came: number, rejected: number, kept: number, queued: number, delivered: number, dead: number, last_in_ms: number | null, last_out_ms: number | null, fault: string}} Partner */
/** @typedef {{position: number, way: string, partner: string, number: number, form: string, about: string, reference: string, state: string, size: number, attempts: number, at_ms: number, done_ms: number | null, next_ms: number | null, declaration: string | null, cause: number | null, fault: string}} Message */
/** @typedef {{outcome: string, units: {reference: string, type: string, outcome: string}[], faults: string[], events: {event: string, container: string, outcome: string, declaration: string | null}[], answers: string[]}} Taken */
/** @typedef {Message & {text: string, taken: Taken | null}} Detail */

const PAGE = 50;
const LOOKS = /** @type {Record<string, string>} */ ({ taken: "good", delivered: "good", answer: "good", queued: "wait", kept: "wait", rejected: "bad", dead: "bad", applied: "good", noted: "off", illegal: "bad", refused: "bad", repeated: "off" });

/** @param {string} state */
function badge(state) {
  return h("span", { class: `badge ${LOOKS[state] ?? "off"}` }, h("i"), known("exchange-state", state));
}

export class ExchangePage extends HTMLElement {
  constructor() {
    super();
    this.partners = h("div", { class: "partners" });
    this.rows = h("div", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    this.detail = h("div", { class: "stack" });
    /** @type {Record<string, string>} */
    this.wishes = {};
    /** @type {Message[]} */
    this.shown = [];
    /** @type {(() => void) | null} */
    this.unhear = null;
    this.waits = 0;
  }

  connectedCallback() {
    this.style.display = "block";
    const asked = new URLSearchParams(location.search);
    for (const name of ["partner", "state", "way", "declaration"]) if (asked.get(name)) this.wishes[name] = asked.get(name) ?? "";
    fill(this, h("div", { class: "page-head" }, h("h1", {}, t("nav.exchange"))), h("p", { class: "soft" }, t("exchange.about")), this.partners, this.filter(), this.detail, this.rows);
    this.unhear = whenChanged(["exchange", "declaration"], () => this.soon());
    void this.refresh();
  }

  disconnectedCallback() {
    this.unhear?.();
    window.clearTimeout(this.waits);
  }

  soon() {
    if (this.waits) return; // a busy port is looked at once a second
    this.waits = window.setTimeout(() => {
      this.waits = 0;
      void this.refresh();
    }, 1000);
  }

  filter() {
    /** @param {string} name @param {string[]} options */
    const choice = (name, options) => h("label", {}, h("span", {}, t(`exchange.${name}`)), h("select", { name }, h("option", { value: "" }, t("exchange.all")), ...options.map((one) => h("option", { value: one, selected: this.wishes[name] === one }, known("exchange-state", one)))));
    const form = h(
      "form",
      {
        class: "card row align-end",
        role: "search",
        onchange: () => {
          this.wishes = Object.fromEntries(Object.entries(values(form)).filter(([, value]) => value));
          void this.refresh();
        },
        onsubmit: (/** @type {Event} */ event) => event.preventDefault(),
      },
      choice("way", ["in", "out"]),
      choice("state", ["taken", "rejected", "answer", "queued", "delivered", "dead"]),
      h("label", {}, h("span", {}, t("exchange.partner")), h("input", { name: "partner", value: this.wishes["partner"] ?? "", maxlength: "64", autocapitalize: "none" })),
      h("label", {}, h("span", {}, t("exchange.declaration")), h("input", { name: "declaration", value: this.wishes["declaration"] ?? "", maxlength: "64" })),
    );
    return form;
  }

  async refresh() {
    try {
      const asked = new URLSearchParams({ ...this.wishes, limit: String(Math.max(PAGE, this.shown.length)) });
      const [health, found] = await Promise.all([mayBe("supervisor", "administrator") ? call("GET", "exchange/partners") : { partners: [] }, call("GET", `exchange/messages?${asked}`)]);
      fill(this.partners, ...health.partners.map((/** @type {Partner} */ one) => this.partner(one)));
      if (!health.partners.length && mayBe("supervisor", "administrator")) fill(this.partners, h("div", { class: "empty" }, h("p", {}, t("exchange.no-partners")), h("a", { class: "button", href: "/references" }, t("exchange.add-partner"))));
      this.shown = found.messages;
      this.draw();
    } catch (error) {
      fill(this.rows, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Partner} one */
  partner(one) {
    const look = one.dead ? "bad" : one.fault ? "warn" : one.queued && !one.address ? "off" : "good";
    const word = one.dead ? "exchange.is-dead" : one.fault ? "exchange.is-trying" : one.queued && !one.address ? "exchange.no-address" : "exchange.is-well";
    /** @type {[string, string | number][]} */
    const facts = [
      ["exchange.came", one.came],
      ["exchange.rejected", one.rejected],
      ["exchange.kept", one.kept],
      ["exchange.queued", one.queued],
      ["exchange.delivered", one.delivered],
      ["exchange.dead", one.dead],
      ["exchange.last-in", moment(one.last_in_ms)],
      ["exchange.last-out", moment(one.last_out_ms)],
    ];
    const choose = () => {
      this.wishes = { partner: one.partner };
      this.shown = [];
      /** @type {HTMLFormElement | null} */ (this.querySelector("form[role=search]"))?.reset();
      const field = /** @type {HTMLInputElement | null} */ (this.querySelector("input[name=partner]"));
      if (field) field.value = one.partner;
      void this.refresh();
    };
    return h(
      "section",
      { class: "card stack", "aria-label": one.partner },
      h("div", { class: "row" }, h("h2", { class: "grow" }, one.name), h("span", { class: `badge ${look}` }, h("i"), t(word))),
      h("div", { class: "soft small" }, `${one.partner} · ${known("exchange-role", one.role)} · ${one.ways.join(", ")}`),
      one.fault && h("p", { class: "notice small" }, one.fault),
      h("dl", { class: "small" }, ...facts.flatMap(([name, value]) => [h("dt", {}, t(name)), h("dd", {}, String(value))])),
      h("button", { onclick: choose }, t("exchange.only")),
    );
  }

  draw() {
    const heads = ["exchange.time", "exchange.partner", "exchange.about-what", "exchange.state", "exchange.declaration", "exchange.size"];
    const rows = this.shown.map((one) =>
      h(
        "tr",
        {},
        h("td", { "data-name": t("exchange.time") }, h("button", { class: "quiet", "aria-label": t("exchange.open", { number: one.number, partner: one.partner }), onclick: () => void this.open(one.position) }, moment(one.at_ms))),
        h("td", { "data-name": t("exchange.partner") }, `${one.way === "in" ? "←" : "→"} ${one.partner}`, h("div", { class: "soft small" }, `${t(`exchange.way-${one.way}`)} ${one.number}`)),
        h("td", { "data-name": t("exchange.about-what") }, h("div", {}, one.about || "–", h("div", { class: "soft small" }, `${one.form} · ${one.reference}`))),
        h("td", { "data-name": t("exchange.state") }, h("div", {}, badge(one.state), one.fault && h("div", { class: "soft small" }, t("exchange.attempt", { count: one.attempts, fault: one.fault })))),
        h("td", { "data-name": t("exchange.declaration") }, one.declaration ? h("a", { href: `/declarations/${one.declaration}` }, one.declaration) : "–"),
        h("td", { "data-name": t("exchange.size") }, bytes(one.size)),
      ),
    );
    const more = this.shown.length > 0 && this.shown.length % PAGE === 0;
    fill(
      this.rows,
      rows.length ? h("div", { class: "card scroll", tabindex: "0" }, h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows))) : h("div", { class: "empty" }, h("p", {}, t("exchange.none"))),
      more && h("button", { onclick: () => void this.more() }, t("exchange.more")),
    );
  }

  async more() {
    const last = this.shown.at(-1);
    if (!last) return;
    const found = await call("GET", `exchange/messages?${new URLSearchParams({ ...this.wishes, before: String(last.position), limit: String(PAGE) })}`);
    this.shown = [...this.shown, ...found.messages];
    this.draw();
  }

  /** @param {number} position */
  async open(position) {
    /** @type {Detail} */
    const one = await call("GET", `exchange/messages/${position}`);
    const again = mayBe("supervisor", "administrator") && ["dead", "delivered"].includes(one.state);
    const resend = async () => {
      const done = await askAct({ title: t("exchange.resend"), effect: t("exchange.resend-effect", { partner: one.partner }), fields: [{ name: "reason", word: t("gate.reason") }], act: (given) => call("POST", `exchange/messages/${position}/resend`, given) });
      if (!done) return;
      await this.open(position);
      await this.refresh();
    };
    const taken = one.taken;
    fill(
      this.detail,
      h(
        "section",
        { class: "card stack", "aria-label": t("exchange.message", { number: one.number }) },
        h("div", { class: "row" }, h("h2", { class: "grow" }, `${one.way === "in" ? "←" : "→"} ${one.partner} ${one.number}`), badge(one.state), h("button", { onclick: () => fill(this.detail) }, t("app.close"))),
        h("dl", { class: "small" }, ...[["exchange.reference", one.reference], ["exchange.time", moment(one.at_ms)], ["exchange.done", moment(one.done_ms)], ["exchange.next", one.next_ms === null ? "–" : moment(one.next_ms)], ["exchange.attempts", String(one.attempts)]].flatMap(([name, value]) => [h("dt", {}, t(name ?? "")), h("dd", {}, value ?? "")])),
        one.fault && h("p", { class: "notice bad" }, one.fault),
        taken && taken.faults.length > 0 && h("div", { class: "notice bad" }, h("strong", {}, t("exchange.faults")), h("ul", {}, ...taken.faults.map((text) => h("li", {}, text)))),
        taken && taken.units.length > 0 && h("ul", { class: "stack" }, ...taken.units.map((unit) => h("li", { class: "row" }, badge(unit.outcome), `${unit.type} ${unit.reference}`))),
        taken && taken.events.length > 0 && h("div", {}, h("h3", {}, t("exchange.events")), h("ul", { class: "stack" }, ...taken.events.map((event) => h("li", { class: "row" }, badge(event.outcome), `${known("exchange-event", event.event)} ${event.container}`, event.declaration && h("a", { href: `/declarations/${event.declaration}` }, event.declaration))))),
        h("h3", {}, t("exchange.raw")),
        h("pre", { class: "raw mono", tabindex: "0" }, readable(one)),
        taken && taken.answers.length > 0 && h("h3", {}, t("exchange.answers")),
        taken && taken.answers.map((text) => h("pre", { class: "raw mono", tabindex: "0" }, lines(text))),
        h("div", { class: "row" }, h("a", { class: "button", href: `/api/v1/exchange/messages/${position}/raw`, download: "" }, t("exchange.fetch")), again && h("button", { onclick: () => void resend() }, t("exchange.resend"))),
      ),
    );
    this.detail.scrollIntoView({ block: "nearest" });
  }
}

/** @param {Detail} one */
function readable(one) {
  if (one.form === "edifact") return lines(one.text);
  try {
    return JSON.stringify(JSON.parse(one.text), null, 1);
  } catch {
    return one.text;
  }
}

/** A segment a line. @param {string} text */
function lines(text) {
  return text.replaceAll(/'(?=[A-Z]{3}[+:'])/g, "'\n");
}

customElements.define("exchange-page", ExchangePage);
