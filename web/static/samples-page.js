// Samples: the list, the plan of a declaration, and one sample with its chain of custody from the goods to the laboratory's report.
import { ActingPage } from "./acting-page.js";
import { call, mayBe, part } from "./api.js";
import { component, fill, h, values } from "./dom.js";
import { RuleSetCard } from "./rule-set-card.js";
import { fileName, sendFiles } from "./sending-files.js";
import { language, moment, t } from "./words.js";

/** @typedef {{act: string, position: number, at_ms: number, said: Record<string, any> | null}} Act */
/** @typedef {{number: string, declaration: string, state: string, laboratory: string | null, sound: boolean | null, verdict: string | null, report: string | null, report_here: boolean | null, drawn_ms: number, changed_ms: number, acts: Act[]}} Sample */
/** @typedef {{rule: string, origin: string, lot: number, n: number | null, accept: number | null, why: string, unverified: boolean, laboratory: boolean, severity: string, share_ppm: number, lines: {line: number, n: number, packages: Record<string, number[]>}[]}} Lot */
/** @typedef {{declaration: string, rules: string, seed: string, boxes: string[], laboratory: boolean, lots: Lot[], amended: boolean, counted: boolean, state: {obstacles: string[]}}} Plan */

const CHAIN = ["drawn", "sealed", "handed-over", "received", "reported"];
const INSPECTING = ["inspector", "supervisor"];

/** @param {Sample} one */
function badge(one) {
  const look = one.state === "voided" ? "off" : one.sound === false || one.verdict === "positive" ? "bad" : one.verdict === "negative" ? "good" : "wait";
  const word = one.state === "voided" ? "voided" : one.sound === false ? "broken" : (one.verdict ?? one.state);
  return h("span", { class: `badge ${look}` }, h("i"), t(`sample.state-${word}`));
}

export class SamplesPage extends ActingPage {
  constructor() {
    super("sample");
    this.declaration = new URLSearchParams(location.search).get("declaration") ?? "";
    /** @type {string | null} */
    this.number = null;
  }

  frame() {
    this.number = this.getAttribute("number");
    const back = this.number !== null && h("a", { class: "button", href: "/samples" }, t("sample.all"));
    const rules = this.number === null && !mayBe("partner") && component(RuleSetCard, { name: t("ruleset.of", { name: t("nav.samples") }), read: "samples/rules", write: "samples/rules" });
    return [h("div", { class: "page-head" }, h("h1", {}, this.number ?? t("nav.samples")), back), h("p", { class: "soft" }, t("sample.about")), this.said, this.body, rules];
  }

  async ask() {
    if (this.number !== null) await this.one(this.number);
    else await this.all();
  }

  // -------------------------------------------------------------------------------------------------------- the list

  async all() {
    const asked = this.declaration ? `?declaration=${encodeURIComponent(this.declaration)}` : "";
    /** @type {[{samples: Sample[]}, Plan | null]} */
    const [answer, plan] = await Promise.all([call("GET", `samples${asked}`), this.declaration && !mayBe("partner") ? call("GET", `samples/plans/${part(this.declaration)}`).catch(() => null) : null]);
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      this.declaration = values(/** @type {HTMLFormElement} */ (event.target))["declaration"] ?? "";
      history.replaceState(null, "", this.declaration ? `/samples?declaration=${encodeURIComponent(this.declaration)}` : "/samples");
      void this.show();
    };
    const rows = answer.samples.map((one) =>
      h(
        "tr",
        {},
        h("td", { "data-name": t("sample.number") }, h("a", { href: `/samples/${part(one.number)}` }, one.number)),
        h("td", { "data-name": t("sample.declaration") }, one.declaration),
        h("td", { "data-name": t("sample.state") }, badge(one)),
        h("td", { "data-name": t("sample.laboratory") }, one.laboratory ?? "–"),
        h("td", { "data-name": t("sample.changed") }, moment(one.changed_ms)),
      ),
    );
    const heads = ["sample.number", "sample.declaration", "sample.state", "sample.laboratory", "sample.changed"];
    fill(
      this.body,
      !mayBe("partner") && h("form", { class: "card row align-end", role: "search", onsubmit }, h("label", { class: "grow" }, h("span", {}, t("sample.of-declaration")), h("input", { name: "declaration", type: "search", value: this.declaration, maxlength: "64" })), h("button", {}, t("credit.find"))),
      plan && this.plan(plan),
      rows.length ? h("div", { class: "card scroll" }, h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows))) : h("div", { class: "empty" }, h("p", {}, t(mayBe("partner") ? "sample.none-for-you" : "sample.none"))),
      mayBe(...INSPECTING) && this.drawForm(),
    );
  }

  /** @param {Plan} plan */
  plan(plan) {
    const lots = plan.lots.map((lot) =>
      h(
        "li",
        { class: "list-item" },
        h(
          "div",
          { class: "grow stack" },
          h("strong", {}, t("sample.lot", { rule: lot.rule, origin: lot.origin, lot: lot.lot })),
          h("p", {}, lot.n === null ? t("sample.no-plan", { why: lot.why }) : t("sample.take", { n: lot.n, accept: lot.accept ?? 0 }), lot.severity !== "normal" && ` · ${t(`sample.severity-${lot.severity}`)}`, " ", lot.unverified && h("span", { class: "badge warn" }, h("i"), t("credit.unverified"))),
          plan.seed && h("p", { class: "small" }, t(lot.laboratory ? "sample.for-laboratory" : "sample.not-for-laboratory", { percent: lot.share_ppm / 10_000 })),
          ...lot.lines.flatMap((line) => Object.entries(line.packages).map(([box, numbers]) => h("details", { class: "small" }, h("summary", {}, t("sample.packages", { line: line.line, box, count: plan.counted ? (numbers[0] ?? 0) : numbers.length })), !plan.counted && h("p", { class: "mono" }, numbers.join(", "))))),
        ),
      ),
    );
    return h(
      "section",
      { class: "card stack", "aria-label": t("sample.plan") },
      h("h2", {}, t("sample.plan")),
      plan.amended && h("p", { class: "notice" }, t("sample.amended")),
      h("p", {}, t(plan.seed ? "sample.boxes" : "sample.undrawn", { boxes: plan.boxes.join(t("app.comma")) })),
      h("ul", {}, ...lots),
      h("p", { class: "soft small" }, plan.rules, plan.seed && [" · ", h("code", {}, plan.seed.slice(0, 16))]),
      plan.state.obstacles.length > 0 && h("div", { class: "notice bad" }, h("p", {}, t("sample.in-the-way")), h("ul", {}, ...plan.state.obstacles.map((one) => h("li", {}, one)))),
    );
  }

  drawForm() {
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const given = values(/** @type {HTMLFormElement} */ (event.target));
      const list = (/** @type {string} */ name) => (given[name] ?? "").split(/\s*[,，、]\s*/).filter(Boolean);
      /** @type {Record<string, string>} */
      const signatures = {};
      for (const name of ["sampler", "owner", "owner_name", "refused"]) if (given[name]) signatures[name] = given[name];
      const ask = { declaration: given["declaration"], laboratory: given["laboratory"], what: given["what"], amount: given["amount"], unit: given["unit"], line: given["line"] ? Number(given["line"]) : null, box: given["box"] || null, packages: list("packages"), tests: list("tests"), cold: given["cold"] === "on", signatures };
      void this.act(() => call("POST", "samples", ask));
    };
    const field = (/** @type {string} */ name, /** @type {Record<string, unknown>} */ more = {}, /** @type {string} */ word = name.replace("_", "-")) => h("label", { class: "grow" }, h("span", {}, t(`sample.${word}`)), h("input", { name, maxlength: "200", ...more }));
    return h(
      "details",
      { class: "card" },
      h("summary", {}, h("strong", {}, t("sample.draw"))),
      h(
        "form",
        { class: "stack below", onsubmit },
        h("div", { class: "row align-end" }, field("declaration", { required: true, value: this.declaration }), field("laboratory", { required: true })),
        h("div", { class: "row align-end" }, field("what", { required: true }), field("amount", { required: true, inputmode: "decimal" }), field("unit", { required: true, maxlength: "20" })),
        h("div", { class: "row align-end" }, field("line", { type: "number", min: "1", max: "10000" }), field("box", { maxlength: "20" }), field("packages", {}, "packages-taken"), field("tests")),
        h("div", { class: "row align-end" }, field("sampler"), field("owner_name"), field("owner"), field("refused")),
        h("label", { class: "row" }, h("input", { name: "cold", type: "checkbox" }), h("span", {}, t("sample.cold"))),
        h("button", { class: "primary" }, t("sample.draw")),
      ),
    );
  }

  // ------------------------------------------------------------------------------------------------------ one sample

  /** @param {string} number */
  async one(number) {
    /** @type {Sample} */
    const sample = await call("GET", `samples/${part(number)}`);
    const drawn = sample.acts.find((act) => act.act === "drawn")?.said ?? {};
    const facts = /** @type {[string, string | Node][]} */ ([
      ["sample.state", badge(sample)],
      ["sample.declaration", sample.declaration],
      ["sample.what", drawn["what"] ?? t("credit.erased")],
      ["sample.amount", `${drawn["amount"] ?? ""} ${drawn["unit"] ?? ""}`],
      ["sample.box", drawn["box"] ?? "–"],
      ["sample.packages-taken", (drawn["packages"] ?? []).join(", ") || "–"],
      ["sample.tests", (drawn["tests"] ?? []).join(", ") || "–"],
      ["sample.laboratory", sample.laboratory ?? "–"],
    ]);
    const voucher = h("a", { class: "button", href: `/api/v1/samples/${part(number)}/voucher?lang=${language()}`, target: "_blank", rel: "noopener" }, t("sample.voucher"));
    fill(
      this.body,
      h("div", { class: "columns" }, h("div", { class: "stack" }, h("section", { class: "card" }, h("h2", {}, t("sample.chain")), h("ol", { class: "steps" }, ...this.chain(sample))), this.next(sample)), h("div", { class: "stack" }, h("dl", { class: "card" }, ...facts.flatMap(([word, value]) => [h("dt", {}, t(word)), h("dd", {}, value)])), voucher)),
    );
  }

  /** @param {Sample} sample */
  chain(sample) {
    const done = sample.acts.map((act) => h("li", {}, h("span", { class: `badge ${act.act === "received" && sample.sound === false ? "bad" : act.act === "voided" ? "off" : "good"}` }, h("i"), t(`sample.act-${act.act}`)), h("strong", {}, moment(act.at_ms)), h("div", { class: "small" }, this.told(act)), act.act === "reported" && sample.report && h("div", { class: "small" }, fileName({ name: t("sample.report-paper"), sha256: sample.report, here: sample.report_here === true })), h("div", { class: "soft small" }, t("credit.place", { position: act.position }))));
    const over = ["voided", "reported"].includes(sample.state) || sample.sound === false;
    const ahead = over ? [] : CHAIN.slice(CHAIN.indexOf(sample.state) + 1).map((act) => h("li", { class: "soft" }, h("span", { class: "badge wait" }, h("i"), t(`sample.act-${act}`)), t("sample.ahead")));
    return [...done, ...ahead];
  }

  /** @param {Act} act */
  told(act) {
    const said = act.said;
    if (said === null) return t("credit.erased");
    const parts = [said["by"], said["second"], said["seal"] && t("sample.with-seal", { seal: said["seal"] }), said["to"] && t("sample.handed-to", { to: said["to"] }), said["note"], said["reason"]];
    if (act.act === "received") parts.push(t(said["sealed"] ? "sample.seal-whole" : "sample.seal-broken"), t(said["fit"] ? "sample.fit" : "sample.unfit"));
    if (act.act === "reported") parts.push(said["number"], ...(said["values"] ?? []).map((/** @type {string[]} */ one) => one.join(" ")), said["remark"]);
    return parts.filter(Boolean).join(" · ");
  }

  /** What can be done next, by whoever looks. @param {Sample} sample */
  next(sample) {
    const path = `samples/${part(sample.number)}`;
    const forms = [];
    if (sample.state === "drawn" && mayBe(...INSPECTING)) forms.push(this.form("sample.seal-it", `${path}/seal`, [["seal", {}]], (given) => ({ seal: given["seal"] })));
    if (sample.state === "sealed" && mayBe(...INSPECTING)) forms.push(this.form("sample.hand-over", `${path}/hand-over`, [["to", {}], ["note", { required: false }]], (given) => ({ to: given["to"], note: given["note"] ?? "" })));
    if (sample.state === "handed-over" && mayBe("partner")) forms.push(this.form("sample.receive", `${path}/receipt`, [["sealed", { type: "checkbox", required: false }], ["fit-for-tests", { type: "checkbox", required: false }], ["note", { required: false }]], (given) => ({ sealed: given["sealed"] === "on", fit: given["fit-for-tests"] === "on", note: given["note"] ?? "" })));
    if (sample.state === "received" && sample.sound && mayBe("partner")) forms.push(this.reportForm(path, sample.number));
    if (!["reported", "voided"].includes(sample.state) && mayBe("supervisor")) forms.push(this.form("sample.void", `${path}/void`, [["reason", {}], ["second", { autocapitalize: "none", autocomplete: "off" }], ["second-password", { type: "password", autocomplete: "off" }]], (given) => ({ reason: given["reason"], second: given["second"], second_password: given["second-password"] }), "danger"));
    return h("div", { class: "stack" }, ...forms);
  }

  /**
   * A card with a form for one act.
   * @param {string} word @param {string} path @param {[string, Record<string, unknown>][]} fields @param {(given: Record<string, string>) => unknown} ask @param {string} [look]
   */
  form(word, path, fields, ask, look = "primary") {
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const given = values(/** @type {HTMLFormElement} */ (event.target));
      void this.act(() => call("POST", path, ask(given)));
    };
    const rows = fields.map(([name, more]) => h("label", { class: more["type"] === "checkbox" ? "row" : "" }, more["type"] === "checkbox" && h("input", { name, ...more }), h("span", {}, t(`sample.${name}`)), more["type"] !== "checkbox" && h("input", { name, required: true, maxlength: "1000", ...more })));
    return h("form", { class: "card stack", onsubmit }, h("h2", {}, t(word)), ...rows, h("button", { class: look }, t(word)));
  }

  /** @param {string} path @param {string} number of the sample */
  reportForm(path, number) {
    const file = h("input", { name: "file", type: "file", required: true });
    /** @param {Event} event */
    const onsubmit = (event) => {
      event.preventDefault();
      const given = values(/** @type {HTMLFormElement} */ (event.target));
      void this.act(async () => {
        const [paper] = await sendFiles(file.files ?? [], `sample ${number}`);
        const found = (given["values"] ?? "").split("\n").map((line) => line.split(/[:：]/)).filter((pair) => pair.length === 2).map((pair) => pair.map((text) => text.trim()));
        await call("POST", `${path}/report`, { number: given["report-number"], verdict: given["verdict"], values: found, sha256: paper?.sha256, remark: given["remark"] ?? "" });
      });
    };
    const verdict = (/** @type {string} */ value) => h("label", { class: "row" }, h("input", { type: "radio", name: "verdict", value, required: true }), h("span", {}, t(`sample.state-${value}`)));
    return h(
      "form",
      { class: "card stack", onsubmit },
      h("h2", {}, t("sample.report")),
      h("label", {}, h("span", {}, t("sample.report-number")), h("input", { name: "report-number", required: true, maxlength: "200" })),
      h("fieldset", {}, h("legend", {}, t("sample.verdict")), verdict("negative"), verdict("positive")),
      h("label", {}, h("span", {}, t("sample.values")), h("textarea", { name: "values", rows: "4" })),
      h("label", {}, h("span", {}, t("sample.report-file")), file),
      h("label", {}, h("span", {}, t("sample.note")), h("input", { name: "remark", maxlength: "1000" })),
      h("button", { class: "primary" }, t("sample.report")),
    );
  }
}

customElements.define("samples-page", SamplesPage);
