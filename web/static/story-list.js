// Where things stood at a moment, and all that had happened by then, one entry a line: for reading, keyboard and screen reader.
import { fill, h } from "./dom.js";
import { isGrave, LANES, recordLink, titleOf, whoOf } from "./story-words.js";
import { clock, known, moment, several, t } from "./words.js";

/** @typedef {import("./story-words.js").Story} Story */
/** @typedef {import("./story-words.js").StoryEntry} StoryEntry */

const SHOWN = 300;
const QUIET_MS = 400; // the slider asks once it rests

/** Dispatches `as-of` (detail: ms, or null for now) and `entry` (detail StoryEntry). */
export class StoryList extends HTMLElement {
  constructor() {
    super();
    /** @type {Story | null} */
    this.story = null;
    this.lane = "";
    this.chosen = "";
    this.timer = 0;
    /** @type {[number, number]} */
    this.ends = [0, 1];
    this.slider = h("input", { type: "range", id: "as-of", min: "0", max: "1000", step: "1", value: "1000", oninput: () => this.onSlide() });
    this.shown = h("output", { for: "as-of", class: "mono" });
    this.now = h("button", { onclick: () => this.ask(null) }, t("story.now"));
    this.standing = h("div", { class: "row", role: "status" });
    this.filter = h("select", { "aria-label": t("story.lane"), onchange: () => this.choose(this.filter.value) });
    this.body = h("div", { class: "scroll" });
  }

  connectedCallback() {
    const label = h("label", { for: "as-of" }, t("story.as-of"));
    fill(
      this,
      h("section", { class: "card stack" }, h("h2", {}, t("story.title")), h("div", { class: "row as-of" }, label, this.slider, this.shown, this.now), this.standing, h("div", { class: "row" }, this.filter), this.body),
    );
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  /** @param {string} lane */
  choose(lane) {
    this.lane = lane;
    this.draw();
  }

  /** @param {Story} story @param {[number, number]} ends of the slider: first and newest instant */
  show(story, ends) {
    this.story = story;
    this.ends = [ends[0], Math.max(ends[1], ends[0] + 1)];
    if (document.activeElement !== this.slider) this.place(story.is_now ? this.ends[1] : story.as_of_ms);
    this.now.disabled = story.is_now;
    this.shown.textContent = story.is_now ? t("story.now-is", { size: story.size }) : t("story.then-is", { time: moment(story.as_of_ms), size: story.size });
    this.draw();
  }

  /** @param {number} ms */
  place(ms) {
    this.slider.value = String(Math.round(((ms - this.ends[0]) / (this.ends[1] - this.ends[0])) * 1000));
  }

  onSlide() {
    const share = Number(this.slider.value) / 1000;
    const ms = this.ends[0] + share * (this.ends[1] - this.ends[0]);
    this.shown.textContent = share >= 1 ? t("story.now") : moment(ms);
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.ask(share >= 1 ? null : ms), QUIET_MS);
  }

  /** @param {number | null} ms */
  ask(ms) {
    this.dispatchEvent(new CustomEvent("as-of", { detail: ms }));
  }

  draw() {
    const story = this.story;
    if (!story) return;
    this.drawStanding(story);
    const lanes = LANES.filter((lane) => story.entries.some((entry) => entry.lane === lane));
    fill(this.filter, h("option", { value: "" }, t("story.all-lanes")), ...lanes.map((lane) => h("option", { value: lane }, t(`lane.${lane}`))));
    this.filter.value = lanes.includes(this.lane) ? this.lane : "";
    const rows = story.entries.filter((entry) => !this.filter.value || entry.lane === this.filter.value).slice(-SHOWN);
    if (!rows.length) return fill(this.body, h("p", { class: "empty" }, t("story.nothing")));
    const head = ["story.time", "story.what", "story.who", "story.said", "story.proof"].map((word) => h("th", { scope: "col" }, t(word)));
    fill(this.body, h("table", { class: "fold story" }, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows.map((entry) => this.row(entry, story.names)))), (story.cut || story.entries.length > SHOWN) && h("p", { class: "soft" }, t("story.cut", { count: SHOWN })));
  }

  /** @param {Story} story */
  drawStanding(story) {
    const now = story.standing;
    const rules = now.rules.map((rule) => `${rule.what} ${rule.version}`);
    fill(
      this.standing,
      now.state && h("span", { class: "badge good" }, h("i"), known("state-of", now.state)),
      now.task_state && h("span", { class: "badge off" }, h("i"), t(`task.${now.task_state === "opened" ? "open" : "ended"}`)),
      now.version !== null && h("span", { class: "soft" }, t("story.version", { version: now.version })),
      now.holds.length > 0 && h("span", { class: "badge bad" }, h("i"), t("story.held-by", { who: several(now.holds) })),
      rules.length > 0 && h("span", { class: "soft small" }, t("story.rules", { rules: several(rules) })),
    );
  }

  /** @param {StoryEntry} entry @param {Record<string, string>} names */
  row(entry, names) {
    const key = `${entry.record.issuer}/${entry.record.epoch}/${entry.record.position}`;
    const facts = Object.entries(entry.facts).slice(0, 6).map(([name, value]) => `${known("field", name)}${t("app.colon")}${name.endsWith("_ns") ? moment(Number(value) / 1e6) : value}`);
    const said = [entry.text, entry.erased && t("story.erased"), facts.join(t("app.comma"))].filter(Boolean);
    const times = entry.to_ms - entry.from_ms >= 1000 ? `${moment(entry.from_ms)} – ${clock(entry.to_ms)}` : moment(entry.from_ms);
    const go = h("button", { class: "quiet", title: t("story.go"), onclick: () => this.dispatchEvent(new CustomEvent("entry", { detail: entry })) }, times);
    return h(
      "tr",
      { class: [isGrave(entry) ? "grave" : "", key === this.chosen ? "chosen" : ""].filter(Boolean).join(" "), "data-place": key },
      h("td", { "data-name": t("story.time"), class: "mono" }, go),
      h("td", { "data-name": t("story.what") }, h("span", { class: "soft small" }, t(`lane.${entry.lane}`)), h("br"), titleOf(entry), entry.stream && h("span", { class: "soft" }, ` ${entry.stream}`)),
      h("td", { "data-name": t("story.who") }, whoOf(entry, names) || "—"),
      h("td", { "data-name": t("story.said") }, said.length ? h("div", { class: "small" }, ...said.map((one) => h("div", {}, one))) : "—"),
      h("td", { "data-name": t("story.proof") }, recordLink(entry.record, entry.log_index)),
    );
  }

  /** Bring an entry into view. @param {StoryEntry} entry */
  point(entry) {
    this.chosen = `${entry.record.issuer}/${entry.record.epoch}/${entry.record.position}`;
    if (this.filter.value && this.filter.value !== entry.lane) this.choose("");
    else this.draw();
    this.querySelector(`tr[data-place="${CSS.escape(this.chosen)}"]`)?.scrollIntoView({ block: "nearest" });
  }
}

customElements.define("story-list", StoryList);
