// One task: its facts, its lanes over time, its player, its recorders, its export.
import { call, mayBe, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { isSegment, verdictOf, whyOf } from "./evidence-lane.js";
import { EvidencePlayer } from "./evidence-player.js";
import { evidenceState } from "./evidence-state.js";
import { describe, EvidenceTimeline } from "./evidence-timeline.js";
import { confirmAct, sayNo } from "./confirming.js";
import { RedactionCard } from "./redaction-card.js";
import { TaskExport } from "./task-export.js";
import { TaskKeeping } from "./task-keeping.js";
import { LanesInStep } from "./lanes-in-step.js";
import { StoryList } from "./story-list.js";
import { eventLanes } from "./story-words.js";
import { TaskPairing } from "./task-pairing.js";
import { TaskWords } from "./task-words.js";
import { stateBadge } from "./task-list.js";
import { bytes, clock, known, moment, named, several, stretch, t } from "./words.js";

/** @typedef {import("./task-list.js").Task} Task */
/** @typedef {import("./evidence-lane.js").Timeline} Timeline */
/** @typedef {import("./evidence-lane.js").Piece} Piece */

/** @typedef {import("./story-words.js").Story} Story */
/** @typedef {import("./story-words.js").StoryEntry} StoryEntry */

/** Attribute `task`. */
export class TaskPage extends HTMLElement {
  constructor() {
    super();
    /** @type {Task | null} */
    this.task = null;
    /** @type {Timeline | null} */
    this.line = null;
    this.stop = () => {};
    this.head = h("div", { class: "page-head" }, h("span", { class: "pulse" }, t("app.loading")));
    this.verdict = h("div", { class: "verdict hidden", role: "status" });
    this.timeline = new EvidenceTimeline();
    this.player = new EvidencePlayer();
    this.piece = h("section", { class: "card hidden" });
    this.facts = h("section", { class: "card" });
    this.pairing = new TaskPairing();
    this.exporting = new TaskExport();
    this.keeping = new TaskKeeping();
    this.redaction = new RedactionCard();
    this.pieces = h("details", { class: "card" });
    this.drawn = "";
    this.inStep = new LanesInStep();
    this.words = new TaskWords();
    this.story = new StoryList();
    this.declared = h("section", { class: "card hidden" });
    /** @type {Story | null} */
    this.told = null;
    /** @type {number | null} the moment as of which the log is looked at */
    this.asOf = null;
    /** @type {{from: number, to: number} | null} the stretch that is looked at piece by piece */
    this.near = null;
    this.asked = 0;
  }

  get name() {
    return this.getAttribute("task") ?? "";
  }

  connectedCallback() {
    fill(
      this,
      this.head,
      h(
        "div",
        { class: "columns" },
        h("div", { class: "stack" }, this.verdict, this.timeline, this.player, this.inStep, this.story, this.redaction, this.piece, this.pieces),
        h("div", { class: "stack" }, this.facts, this.words, this.pairing, this.exporting, this.keeping),
      ),
    );
    this.timeline.addEventListener("seek", (event) => this.seek(/** @type {CustomEvent} */ (event).detail));
    this.timeline.addEventListener("choose", (event) => this.choose(/** @type {CustomEvent} */ (event).detail));
    this.player.addEventListener("position", (event) => {
      const { stream, ms } = /** @type {CustomEvent} */ (event).detail;
      this.timeline.point(stream, ms);
    });
    this.timeline.addEventListener("entry", (event) => this.choseEntry(/** @type {CustomEvent} */ (event).detail));
    this.timeline.addEventListener("stretch", (event) => void this.lookNear(/** @type {CustomEvent} */ (event).detail));
    this.story.addEventListener("entry", (event) => this.goTo(/** @type {CustomEvent} */ (event).detail));
    this.story.addEventListener("as-of", (event) => {
      this.asOf = /** @type {CustomEvent<number | null>} */ (event).detail;
      void this.refresh();
    });
    this.inStep.addEventListener("lead", (event) => this.seek({ stream: /** @type {CustomEvent} */ (event).detail, ms: this.player.position }));
    this.words.looking = () => (this.player.lane && this.player.position ? { stream: this.player.lane.stream, ms: this.player.position } : null);
    const unheard = whenChanged([], () => this.refresh(), 1500);
    const poll = window.setInterval(() => this.task?.state === "open" && void this.refresh(), 10000);
    this.stop = () => {
      unheard();
      clearInterval(poll);
    };
    this.addEventListener("changed", () => void this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  async refresh() {
    try {
      const path = `tasks/${part(this.name)}`;
      const then = this.asOf === null ? "" : `as_of_ms=${this.asOf}`;
      const near = this.near ? `&from_ms=${this.near.from}&to_ms=${this.near.to}` : "";
      const asked = (this.asked += 1);
      const [task, line, story, told] = await Promise.all([call("GET", path), call("GET", `${path}/timeline?${then}${near}`), call("GET", `${path}/story?${then}`), call("GET", `${path}/instructions`)]);
      if (asked !== this.asked) return; // a newer question is on its way
      this.task = task;
      this.line = line;
      this.told = story;
      this.draw(task, line);
      this.drawStory(task, story);
      this.words.show(task, told.instructions);
    } catch (error) {
      if (!this.task) fill(this, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""), h("a", { href: "/tasks" }, t("nav.tasks")));
    }
  }

  /** @param {Task} task @param {Timeline} line */
  draw(task, line) {
    const ending = task.state === "open" && mayBe("supervisor") && h("button", { class: "danger", onclick: () => void this.endTask() }, t("task.end"));
    const pairing = task.state === "open" && mayBe("inspector") && h("a", { class: "button primary", href: `/pair/${part(task.task)}` }, t("pair.open"));
    fill(this.head, h("h1", {}, task.task), h("span", {}, task.title), stateBadge(task), h("span", { class: "grow" }), pairing, ending);
    this.timeline.show(line);
    if (this.player.lane) {
      const lane = line.lanes.find((one) => one.stream === this.player.lane?.stream);
      if (lane) this.player.show(task.task, lane, this.originOf(line));
    }
    this.drawVerdict(line);
    this.drawFacts(task);
    this.drawPieces(line);
    this.pairing.show(task);
    this.exporting.show(task);
    this.keeping.show(task);
    this.redaction.show(task.task, this.player);
  }

  /** @param {Task} task @param {Story} story */
  drawStory(task, story) {
    this.timeline.tell(eventLanes(story));
    this.story.show(story, [Math.ceil(Math.min(task.opened_ms, ...story.entries.slice(0, 1).map((entry) => entry.from_ms))), Date.now()]);
  }

  /** An entry was chosen on the line: its line in the list has its record. @param {StoryEntry} entry */
  choseEntry(entry) {
    this.story.point(entry);
    this.goTo(entry);
  }

  /** Show the video of an entry's moment, where there is some. @param {StoryEntry} entry */
  goTo(entry) {
    const lanes = this.line?.lanes ?? [];
    const stream = entry.stream ?? this.player.lane?.stream ?? lanes[0]?.stream;
    const inside = this.line && entry.from_ms >= this.line.from_ms && entry.from_ms <= this.line.to_ms;
    if (stream && inside && lanes.some((lane) => lane.stream === stream)) this.seek({ stream, ms: entry.from_ms });
    else this.timeline.point("", entry.from_ms);
  }

  /** Where there are too many pieces, ask for those of the stretch that is looked at. @param {{from: number, to: number}} stretch */
  async lookNear(stretch) {
    if (!this.line || (this.line.detail !== "spans" && !this.near)) return;
    const whole = !this.timeline.zoomed;
    this.near = whole ? null : { from: stretch.from - (stretch.to - stretch.from) / 4, to: stretch.to + (stretch.to - stretch.from) / 4 };
    await this.refresh();
  }

  /** @param {Timeline} line */
  drawVerdict(line) {
    const state = verdictOf(line.lanes);
    const explained = line.lanes.reduce((all, lane) => all + lane.coverage.gap_ms, 0);
    const gaps = line.lanes.reduce((all, lane) => all + lane.gaps.filter((gap) => gap.state === "gap").length, 0);
    const segments = line.lanes.flatMap((lane) => lane.segments);
    const count = (/** @type {string} */ wanted) => segments.filter((segment) => segment.state === wanted).length;
    this.verdict.classList.remove("hidden");
    this.inStep.show(this.player, line.lanes);
    if (line.detail === "spans") return this.drawWeeks(line);
    this.verdict.dataset["state"] = state;
    if (state === "none") return fill(this.verdict, h("span", {}, t(line.lanes.length ? "verdict.none" : "verdict.no-lanes")));
    const long = (/** @type {string} */ wanted) => line.lanes.reduce((all, lane) => all + lane.gaps.filter((gap) => gap.state === wanted).reduce((sum, gap) => sum + gap.to_ms - gap.from_ms, 0), 0);
    fill(
      this.verdict,
      evidenceState(state, t(`verdict.${state}`)),
      h("span", {}, t("verdict.segments", { verified: count("verified"), pending: count("pending"), failed: count("failed") })),
      h("span", {}, t("verdict.gaps", { gaps, length: stretch(explained) })),
      long("unknown") > 0 && h("span", { class: "badge unknown" }, h("i"), t("verdict.not-known", { length: stretch(long("unknown")) })),
      h("span", { class: long("failed") > 0 ? "badge bad" : "soft" }, t("verdict.unexplained", { length: stretch(long("failed")) })),
    );
  }

  /** Of a stretch too long to see each piece: what it comes to. @param {Timeline} line */
  drawWeeks(line) {
    const spans = line.lanes.flatMap((lane) => lane.spans);
    const [recorded, gap] = [spans.reduce((sum, span) => sum + span[1], 0), spans.reduce((sum, span) => sum + span[2], 0)];
    this.verdict.dataset["state"] = "pending";
    fill(this.verdict, h("span", {}, t("verdict.weeks", { recorded: stretch(recorded), gap: stretch(gap), lanes: line.lanes.length })), h("span", { class: "soft" }, t("verdict.zoom")));
  }

  /** @param {Task} task */
  drawFacts(task) {
    /** @type {[string, string | Node][]} */
    const rows = [
      [t("task.site"), task.site],
      [t("task.bay"), task.bay ?? "—"],
      [t("task.inspectors"), several(task.inspectors.map((login) => named(task.names, login))) || "—"],
      [t("task.cameras"), several(task.cameras) || "—"],
      [t("task.opened"), `${moment(task.opened_ms)} (${named(task.names, task.by)})`],
      [t("task.ended-at"), task.ended_ms ? moment(task.ended_ms) : "—"],
      ...Object.entries(task.facts).map(([name, text]) => /** @type {[string, string | Node]} */ ([known("fact", name), name === "declaration" ? h("a", { href: `/declarations/${part(text)}` }, text) : text])),
    ];
    fill(this.facts, h("h2", {}, t("task.facts")), h("dl", {}, ...rows.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])), task.facts["declaration"] && h("a", { class: "button below", href: `/desk/${task.facts["declaration"]}` }, t("gate.open")));
  }

  /** @param {Timeline} line */
  drawPieces(line) {
    const signature = JSON.stringify([this.pieces.open, line.lanes.map((lane) => [...lane.segments, ...lane.gaps].map((piece) => [piece.state, piece.to_ms]))]);
    if (signature === this.drawn) return; // a redraw would take a link away from under the pointer
    this.drawn = signature;
    const rows = line.lanes.flatMap((lane) => [...lane.segments, ...lane.gaps].map((piece) => ({ lane, piece }))).sort((one, other) => one.piece.from_ms - other.piece.from_ms);
    fill(
      this.pieces,
      h("summary", {}, t("task.pieces", { count: rows.length })),
      this.pieces.open && h(
        "div",
        { class: "scroll" },
        h(
          "table",
          {},
          h("tbody", {}, ...rows.slice(-400).map(({ lane, piece }) => h("tr", {}, h("td", {}, lane.stream), h("td", {}, evidenceState(piece.state)), h("td", {}, describe(piece)), h("td", {}, recordLink(piece))))),
        ),
      ),
    );
    this.pieces.ontoggle = () => this.pieces.open && this.line && this.drawPieces(this.line);
  }

  /** The wall instant at media time zero: whole seconds before everything. @param {Timeline} line */
  originOf(line) {
    const first = Math.min(line.from_ms, ...line.lanes.flatMap((lane) => lane.segments.slice(0, 1).map((segment) => segment.from_ms)));
    return Math.floor(first / 1000) * 1000 - 1000;
  }

  /** @param {{stream: string, ms: number, play?: boolean}} detail */
  seek({ stream, ms, play }) {
    const lane = this.line?.lanes.find((one) => one.stream === stream);
    if (!lane || !this.line) return;
    this.player.show(this.name, lane, this.player.reel?.origin ?? this.originOf(this.line));
    if (!play) return void this.player.seek(ms);
    void this.player.playFrom(ms);
    this.player.querySelector(".screen")?.scrollIntoView({ block: "nearest" });
  }

  /** @param {{stream: string, piece: Piece | null}} detail */
  choose({ stream, piece }) {
    this.piece.classList.toggle("hidden", !piece);
    if (!piece) return;
    /** @type {[string, string | Node][]} */
    const rows = [[t("segment.time"), `${clock(piece.from_ms, true)} – ${clock(piece.to_ms, true)} (${stretch(piece.to_ms - piece.from_ms)})`]];
    if (isSegment(piece)) {
      rows.push([t("segment.number"), `#${piece.number} · ${bytes(piece.size)}${piece.recovered ? ` · ${t("segment.recovered")}` : ""}`]);
      rows.push(["SHA-256", h("code", {}, piece.sha256)]);
      if (piece.why) rows.push([t("segment.why"), whyOf(piece.why)]);
    } else rows.push([t("segment.why"), piece.state === "unknown" ? t("player.unknown") : [known("cause", piece.cause), piece.detail].filter(Boolean).join(" · ")]);
    fill(
      this.piece,
      h("div", { class: "row" }, evidenceState(piece.state), h("strong", {}, stream), h("span", { class: "grow" }), recordLink(piece)),
      h("dl", {}, ...rows.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])),
    );
  }

  async endTask() {
    if (!(await confirmAct(t("task.end"), t("task.end-effect")))) return;
    await call("POST", `tasks/${part(this.name)}/end`).catch((error) => sayNo(t("task.end"), error));
    await this.refresh();
  }
}

/** Where a piece's record and its proof are opened. @param {Piece} piece */
function recordLink(piece) {
  if (!piece.record) return h("span", { class: "soft" }, t("segment.unsigned"));
  const { issuer, epoch, position } = piece.record;
  return h("a", { href: `/records/${part(issuer)}/${epoch}/${position}` }, t("segment.record"));
}

customElements.define("task-page", TaskPage);
