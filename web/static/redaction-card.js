// Cut a stretch of a lane out, or make a copy of it with areas destroyed: drawn here, or proposed and accepted one by one.
import { call, mayBe, part } from "./api.js";
import { fill, h } from "./dom.js";
import { edgesAt, ofProposal, put, shownAt, toAsk } from "./redaction-areas.js";
import { RedactionCanvas } from "./redaction-canvas.js";
import { bytes, clock, moment, stretch, t } from "./words.js";

/** @typedef {import("./evidence-player.js").EvidencePlayer} EvidencePlayer */
/** @typedef {import("./redaction-areas.js").Area} Area */
/** @typedef {{number: number, points: number[][], until_ms: number, label: string, accepted: boolean | null, by: string}} Proposal */
/** @typedef {{job: string, act: string, state: "waiting" | "running" | "done" | "failed" | "cancelled", done_ms: number, total_ms: number, what: string, proposals: Proposal[], derived: string | null}} Job */
/** @typedef {{sha256: string, size: number, by: string, made_ms: number, stream: string, from_ms: number, to_ms: number, areas: number, reason: string, record: {issuer: string, epoch: number, position: number}}} Derived */

const ASK_MS = 500;

/** Properties by `show` (task, player). */
export class RedactionCard extends HTMLElement {
  constructor() {
    super();
    this.task = "";
    /** @type {EvidencePlayer | null} */
    this.player = null;
    this.stream = "";
    /** @type {number | null} */
    this.from = null;
    /** @type {number | null} */
    this.to = null;
    /** @type {Area[]} */
    this.areas = [];
    /** @type {Area | null} the one that the next rectangle moves */
    this.moving = null;
    /** @type {Job | null} */
    this.proposing = null;
    /** @type {Job | null} */
    this.making = null;
    this.drawing = false;
    this.timer = 0;
    this.overlay = new RedactionCanvas();
    this.overlay.addEventListener("drawn", (event) => this.onDrawn(/** @type {CustomEvent} */ (event).detail));
    this.range = h("span", { class: "mono" });
    this.said = h("div", { role: "status" });
    this.listed = h("div", { class: "stack" });
    this.jobs = h("div", { class: "stack" });
    this.files = h("div", { class: "stack" });
    this.drawButton = h("button", { "aria-pressed": "false", onclick: () => this.setDrawing(!this.drawing) }, t("redaction.draw"));
    this.sound = h("select", { "aria-label": t("redaction.sound") }, h("option", { value: "muted" }, t("redaction.muted")), h("option", { value: "kept" }, t("redaction.kept")));
    this.reason = h("input", { maxlength: "400", "aria-label": t("redaction.reason"), placeholder: t("redaction.reason") });
  }

  connectedCallback() {
    this.classList.add("card");
    this.style.display = "block";
    this.timer = window.setInterval(() => this.drawOverlay(), 120);
    fill(
      this,
      h("h2", {}, t("redaction.title")),
      h("p", { class: "soft small" }, t("redaction.about")),
      h("div", { class: "row" }, h("button", { onclick: () => this.mark("from") }, t("redaction.from")), h("button", { onclick: () => this.mark("to") }, t("redaction.to")), this.range),
      h("div", { class: "row" }, h("button", { onclick: () => void this.clip() }, t("redaction.clip")), this.drawButton, h("button", { onclick: () => void this.propose() }, t("redaction.propose"))),
      this.listed,
      h("div", { class: "row" }, this.sound, this.reason, h("button", { class: "primary", onclick: () => void this.make() }, t("redaction.make"))),
      this.jobs,
      this.said,
      this.files,
    );
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    this.overlay.remove();
  }

  /** @param {string} task @param {EvidencePlayer} player */
  show(task, player) {
    this.classList.toggle("hidden", !mayBe("supervisor"));
    if (this.task === task || !mayBe("supervisor")) return;
    this.task = task;
    this.player = player;
    this.overlay.video = player.video;
    player.querySelector(".screen")?.append(this.overlay);
    this.draw();
    void this.list();
  }

  // ------------------------------------------------------------------------------------------------------ the stretch

  /** @param {"from" | "to"} edge */
  mark(edge) {
    const player = this.player;
    if (!player?.lane) return this.say(t("redaction.play-first"), true);
    if (this.stream !== player.lane.stream) this.from = this.to = null;
    this.stream = player.lane.stream;
    this[edge] = shownAt(player);
    this.forget();
  }

  /** Another stretch: what was drawn counted from the old one. */
  forget() {
    this.areas = [];
    this.proposing = this.moving = null;
    this.draw();
  }

  /** @returns {{stream: string, from_ms: number, to_ms: number} | null} */
  wanted() {
    if (this.from !== null && this.to !== null && this.to > this.from) return { stream: this.stream, from_ms: this.from, to_ms: this.to };
    this.say(t("redaction.choose"), true);
    return null;
  }

  async clip() {
    const wanted = this.wanted();
    if (wanted) await this.try(async () => this.offer(await call("POST", `tasks/${part(this.task)}/clips`, wanted)));
  }

  // ------------------------------------------------------------------------------------------------------- the areas

  /** @param {boolean} drawing */
  setDrawing(drawing) {
    if (drawing && (!this.wanted() || !this.player)) return;
    if (drawing && this.player?.playing) this.player.toggle();
    this.drawing = drawing;
    this.drawButton.setAttribute("aria-pressed", String(drawing));
    this.overlay.setActive(drawing);
    if (drawing) this.overlay.scrollIntoView({ block: "nearest" }); // the picture may be above what is shown
    this.say(drawing ? t("redaction.drag") : "");
  }

  /** @param {import("./redaction-canvas.js").Edges} edges */
  onDrawn(edges) {
    if (!this.player || this.from === null || this.to === null) return;
    if (this.moving) put(this.moving, Math.max(this.from, shownAt(this.player)), edges);
    else this.areas.push({ places: [{ ms: this.from, edges }], until: this.to, way: "black" });
    this.moving = null;
    this.draw();
  }

  async propose() {
    const wanted = this.wanted();
    if (!wanted) return;
    await this.try(async () => {
      this.proposing = await this.follow(await call("POST", `tasks/${part(this.task)}/proposals`, wanted));
      if (this.proposing.state === "done") this.say(t("redaction.proposed", { count: this.proposing.proposals.length }));
    });
    this.draw();
  }

  /** @param {number} number @param {boolean} accepted */
  async decide(number, accepted) {
    const job = this.proposing;
    if (!job) return;
    await this.try(async () => (this.proposing = await call("POST", `redactions/${part(job.job)}/proposals/${number}`, { accepted })));
    this.draw();
  }

  async make() {
    const wanted = this.wanted();
    if (!wanted) return;
    const proposals = this.proposing?.proposals.length ? this.proposing.job : null;
    const areas = this.areas.map((area) => toAsk(area, wanted.from_ms));
    await this.try(async () => {
      const job = await this.follow(await call("POST", `tasks/${part(this.task)}/redactions`, { ...wanted, areas, proposals, sound: this.sound.value, reason: this.reason.value }));
      if (job.state === "done") {
        this.setDrawing(false);
        this.forget();
        this.say(t("redaction.made"));
        await this.list();
      }
    });
  }

  /** Ask until a job has ended; say why when it failed. @param {Job} begun @returns {Promise<Job>} */
  async follow(begun) {
    let job = begun;
    while (job.state === "waiting" || job.state === "running") {
      const { job: name } = job;
      fill(this.jobs, h("div", { class: "row" }, h("progress", { max: String(job.total_ms), value: String(job.done_ms) }), h("span", { class: "small" }, t(`redaction.${job.state}`)), h("button", { onclick: () => void this.try(() => call("DELETE", `redactions/${part(name)}`)) }, t("app.cancel"))));
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
      job = await call("GET", `redactions/${part(job.job)}`);
    }
    fill(this.jobs);
    if (job.state === "failed") throw new Error(job.what);
    if (job.state === "cancelled") this.say(t("redaction.cancelled"));
    return job;
  }

  // ------------------------------------------------------------------------------------------------------- what is there

  async list() {
    await this.try(async () => {
      /** @type {Derived[]} */
      const found = await call("GET", `tasks/${part(this.task)}/derived`);
      fill(this.files, ...(found.length ? [h("h3", {}, t("redaction.files"))] : []), ...found.map((one) => this.row(one)));
    });
  }

  /** @param {Derived} one */
  row(one) {
    const pack = () => this.try(async () => this.offer(await call("POST", `tasks/${part(this.task)}/derived/${one.sha256}/excerpts`)));
    return h(
      "div",
      { class: "row" },
      h("span", { class: "badge warn" }, t("redaction.derived")),
      h("span", { class: "small" }, `${one.stream} · ${clock(one.from_ms, true)} – ${clock(one.to_ms, true)} · ${t("redaction.areas", { count: one.areas })} · ${one.by} · ${moment(one.made_ms)}${one.reason ? ` · ${one.reason}` : ""}`),
      h("a", { href: `/records/${part(one.record.issuer)}/${one.record.epoch}/${one.record.position}` }, t("segment.record")),
      h("button", { onclick: () => void pack() }, t("redaction.fetch")),
    );
  }

  /** @param {{address: string, name: string, size: number}} excerpt */
  offer(excerpt) {
    fill(this.said, h("p", { class: "notice good" }, t("redaction.ready", { size: bytes(excerpt.size) }), " ", h("a", { class: "button primary", href: excerpt.address, download: `${excerpt.name}.zip` }, t("export.download"))));
  }

  draw() {
    const length = this.from !== null && this.to !== null && this.to > this.from ? ` · ${stretch(this.to - this.from)}` : "";
    this.range.textContent = `${this.from === null ? "—" : clock(this.from, true)} – ${this.to === null ? "—" : clock(this.to, true)}${length}`;
    fill(this.listed, ...this.areas.map((area, at) => this.areaRow(area, at)), ...(this.proposing?.proposals ?? []).map((one) => this.proposalRow(one)));
    this.drawOverlay();
  }

  /** @param {Area} area @param {number} at */
  areaRow(area, at) {
    const way = h("select", { "aria-label": t("redaction.way"), onchange: () => (area.way = way.value === "blur" ? "blur" : "black") }, h("option", { value: "black" }, t("redaction.black")), h("option", { value: "blur" }, t("redaction.blur")));
    way.value = area.way;
    way.style.width = "auto";
    const move = () => {
      this.moving = area;
      this.setDrawing(true);
    };
    const drop = () => {
      this.areas.splice(at, 1);
      this.draw();
    };
    return h(
      "div",
      { class: "row area" },
      h("strong", {}, t("redaction.area", { number: at + 1 })),
      h("span", { class: "small" }, t("redaction.places", { count: area.places.length })),
      way,
      h("button", { title: t("redaction.move-about"), onclick: move }, t("redaction.move")),
      h("button", { onclick: () => this.player && ((area.until = shownAt(this.player)), this.draw()) }, t("redaction.until")),
      h("button", { class: "quiet", onclick: drop }, t("redaction.drop")),
    );
  }

  /** @param {Proposal} one */
  proposalRow(one) {
    const first = one.points[0]?.[0] ?? 0;
    const look = () => this.player && this.from !== null && void this.player.seek(this.from + first + 1);
    const state = one.accepted === null ? "undecided" : one.accepted ? "accepted" : "rejected";
    return h(
      "div",
      { class: "row proposal" },
      h("strong", {}, t("redaction.proposal", { number: one.number + 1 })),
      h("button", { class: "quiet", onclick: look }, clock((this.from ?? 0) + first, true)),
      h("span", { class: "badge" }, t(`redaction.${state}`)),
      h("button", { "aria-pressed": String(one.accepted === true), onclick: () => void this.decide(one.number, true) }, t("redaction.accept")),
      h("button", { "aria-pressed": String(one.accepted === false), onclick: () => void this.decide(one.number, false) }, t("redaction.reject")),
    );
  }

  drawOverlay() {
    const { player, from } = this;
    if (!player?.lane || player.lane.stream !== this.stream || from === null) return this.overlay.show([]);
    const ms = shownAt(player);
    const proposals = this.proposing?.proposals ?? [];
    const all = [
      ...this.areas.map((area, at) => ({ area, label: String(at + 1), tone: /** @type {const} */ ("drawn") })),
      ...proposals.map((one) => ({ area: ofProposal(one, from), label: `? ${one.number + 1}`, tone: one.accepted === false ? /** @type {const} */ ("rejected") : /** @type {const} */ ("proposed") })),
    ];
    this.overlay.show(all.flatMap(({ area, label, tone }) => { const edges = edgesAt(area, ms); return edges ? [{ edges, label, tone }] : []; }));
  }

  /** @param {string} what @param {boolean} [bad] */
  say(what, bad = false) {
    fill(this.said, what && h("p", { class: bad ? "notice bad" : "notice" }, what));
  }

  /** @param {() => Promise<unknown>} work */
  async try(work) {
    try {
      await work();
    } catch (error) {
      fill(this.jobs);
      this.say(error instanceof Error ? error.message : "", true);
    }
  }
}

customElements.define("redaction-card", RedactionCard);
