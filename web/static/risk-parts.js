// Why a declaration stands in its lane: the total, every part with what it was made of, what forces a lane, and what chance selects anyway.
import { call, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { known, language, moment, t } from "./words.js";

/** @typedef {{name: string, weight: number, share: number, counts: number, made_of: Record<string, any>}} Part */
/** @typedef {{policy: string, least: number, national: number, certain: boolean, grade: number}} Floor */
/** @typedef {{total: number, scored: string, lane: string, parts: Part[], forced: {lane: string, by: string}[], rules: string, rules_version: number, verified: boolean, lanes: Record<string, number>, floor: Floor | null}} Risk */
/** @typedef {{declaration: string, position: number, at_ms: number, rule: string | null, stands: boolean, risk: Risk | null, rules: {key: string, version: number, effect: string}[]}} Screening */

const SHAPES = /** @type {Record<string, string>} */ ({ red: "bad", yellow: "warn", blue: "wait", green: "good" });

/** A lane by colour, shape and word. @param {string} lane */
export function laneBadge(lane) {
  return h("span", { class: `badge ${SHAPES[lane] ?? "off"}` }, h("i"), t(`lane.${lane}`));
}

/** @param {number} parts */
export function percent(parts) {
  return `${(parts / 1e7).toFixed(2)} %`;
}

/** What a part is called: `rule/th-durian`. @param {string} name */
function titleOf(name) {
  const [group = "", key] = name.split("/");
  return key ? `${t(`risk.${group}`)} ${key}` : t(`risk.${group}`);
}

/** @type {Promise<Record<string, [string, string]>> | null} */
let mismatches = null;

function mismatchWords() {
  mismatches ??= call("GET", "screening/mismatches").then((answer) => answer.mismatches);
  mismatches.catch(() => (mismatches = null));
  return mismatches;
}

export class RiskParts extends HTMLElement {
  static observedAttributes = ["declaration"];

  constructor() {
    super();
    this.stop = () => {};
  }

  connectedCallback() {
    this.stop = whenChanged(["declaration", "lagging"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  attributeChangedCallback() {
    if (this.isConnected) void this.refresh();
  }

  async refresh() {
    const number = this.getAttribute("declaration");
    if (!number) return;
    if (!this.childElementCount) fill(this, h("p", { class: "pulse" }, t("app.loading")));
    try {
      const [found, words] = await Promise.all([call("GET", `screening/${part(number)}`), mismatchWords()]);
      this.show(found, words);
    } catch (error) {
      const isMissing = /** @type {{status?: number}} */ (error).status === 404;
      fill(this, h("p", { class: isMissing ? "soft" : "notice bad" }, isMissing ? t("risk.none") : error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Screening} found @param {Record<string, [string, string]>} words */
  show(found, words) {
    const risk = found.risk;
    if (!risk) {
      fill(this, h("p", { class: "soft" }, t("risk.erased")));
      return;
    }
    fill(
      this,
      !found.stands && h("p", { class: "notice" }, t("risk.amended")),
      h("div", { class: "row" }, laneBadge(risk.lane), h("strong", {}, t("risk.total", { percent: percent(risk.total) })), risk.lane !== risk.scored && h("span", { class: "soft" }, t("risk.scored"), " ", laneBadge(risk.scored))),
      risk.forced.length > 0 && h("p", { class: "below" }, t("risk.forced"), " ", risk.forced.map((one) => titleOf(one.by)).join(t("app.comma"))),
      h("ul", { class: "risk-list below" }, ...[...risk.parts].sort((a, b) => b.counts - a.counts).map((one) => this.row(one, words))),
      h("p", { class: "soft small below" }, this.floor(risk.floor)),
      h("p", { class: "soft small" }, t("risk.by", { rules: risk.rules, time: moment(found.at_ms), position: found.position }), " ", !risk.verified && t("risk.unverified")),
    );
  }

  /** @param {Part} one @param {Record<string, [string, string]>} words */
  row(one, words) {
    const [group = ""] = one.name.split("/");
    const title = titleOf(one.name);
    return h(
      "li",
      {},
      h("div", { class: "row" }, h("span", { class: "grow" }, title), h("strong", {}, percent(one.counts))),
      h("meter", { min: 0, max: 1e9, value: String(one.counts), "aria-label": `${title} ${percent(one.counts)}` }),
      h("div", { class: "soft small" }, this.madeOf(group, one, words)),
    );
  }

  /** @param {string} group @param {Part} one @param {Record<string, [string, string]>} words */
  madeOf(group, one, words) {
    const made = one.made_of;
    const weight = t("risk.weight", { weight: percent(one.weight), share: percent(one.share) });
    if (group === "history") return `${t("risk.of-history", { kind: made["kind"] || "–", origin: made["origin"] || "–", inspected: made["inspected"], failed: made["failed"] })} ${weight}`;
    if (group === "credit") return `${t("risk.of-credit", { grade: made["grade"] })}${made["joint_list"] ? ` ${t("risk.joint-list")}` : ""} ${weight}`;
    if (group === "lateness") return `${t("risk.of-lateness", { days: made["days_ahead"] })} ${weight}`;
    if (group === "documents") {
      const found = /** @type {string[]} */ (made["found"]).map((name) => words[name]?.[language() === "en" ? 1 : 0] ?? name);
      return `${found.length ? found.join(t("risk.semicolon")) : t("risk.no-mismatch")} ${weight}`;
    }
    const measure = made["measure"] ? `${known("measure", made["measure"])} · ` : "";
    return `${measure}${t("risk.version", { version: made["version"] })} ${weight}`;
  }

  /** @param {Floor | null} floor */
  floor(floor) {
    if (!floor) return t("risk.no-policy");
    if (floor.certain) return t("risk.certain", { policy: floor.policy });
    return t("risk.floor", { policy: floor.policy, least: percent(floor.least), national: percent(floor.national) });
  }
}

customElements.define("risk-parts", RiskParts);
