// The wall: 1, 4 or 9 live tiles; drag to place; the arrangement is remembered.
import { call, mayBe } from "./api.js";
import { whenChanged } from "./changes.js";
import { component, fill, h } from "./dom.js";
import { LiveTile } from "./live-tile.js";
import { named, t } from "./words.js";

/** @typedef {import("./live-tile.js").StreamState} StreamState */

const SIZES = [1, 4, 9];
const KEPT = "wall";
const PHONE = matchMedia("(max-width: 700px)");
const TOUCH = matchMedia("(pointer: coarse), (max-width: 700px)"); // no dragging there

export class LiveWall extends HTMLElement {
  constructor() {
    super();
    this.size = 4;
    /** @type {(string | null)[]} */
    this.places = [];
    /** @type {StreamState[]} */
    this.streams = [];
    /** @type {Record<string, string>} */
    this.pairedBy = {};
    this.stop = () => {};
    this.grid = h("div", { class: "wall" });
    this.sizes = h("div", { class: "row", role: "group", "aria-label": t("wall.tiles") });
    this.list = h("div", { class: "camera-list" });
  }

  connectedCallback() {
    this.recall();
    fill(
      this,
      h("div", { class: "page-head" }, h("h1", {}, t("nav.wall")), this.sizes, h("span", { class: "notice small" }, t("wall.recorded")), h("span", { class: "grow" })),
      this.grid,
      h("section", { class: "stack wall-choice" }, h("p", { class: "soft small" }, t(TOUCH.matches ? "wall.tap" : "wall.drag")), this.list),
    );
    this.stop = whenChanged([], () => this.refresh());
    const poll = window.setInterval(() => void this.refresh(), 4000);
    const stop = this.stop;
    this.stop = () => {
      stop();
      clearInterval(poll);
    };
    void this.refresh().then(() => this.arrange());
  }

  disconnectedCallback() {
    this.stop();
  }

  recall() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}");
      if (SIZES.includes(kept.size)) this.size = kept.size;
      if (Array.isArray(kept.places)) this.places = kept.places;
    } catch {
      this.places = [];
    }
  }

  keep() {
    localStorage.setItem(KEPT, JSON.stringify({ size: this.size, places: this.places }));
  }

  async refresh() {
    const [streams, tasks] = await Promise.all([call("GET", "streams"), call("GET", "tasks?state=open")]).catch(() => [null, null]);
    if (!streams || !tasks) return;
    this.streams = streams.streams;
    this.pairedBy = {};
    for (const task of tasks.tasks) for (const bond of task.paired) if (bond.state === "paired") this.pairedBy[bond.stream] = named(task.names, bond.by);
    this.settle();
    for (const tile of this.querySelectorAll("live-tile")) if (tile instanceof LiveTile) tile.show(this.stateOf(tile.stream), this.pairedBy[tile.stream]);
    this.drawList();
  }

  /** @param {string} stream */
  stateOf(stream) {
    return this.streams.find((state) => state.stream === stream) ?? null;
  }

  /** Fill empty places with streams that have none yet, the first time. */
  settle() {
    if (this.places.some(Boolean) || !this.streams.length) return;
    this.places = this.streams.slice(0, 9).map((state) => state.stream);
    this.size = this.streams.length <= 1 || PHONE.matches ? 1 : this.streams.length <= 4 ? 4 : 9;
    this.arrange();
  }

  arrange() {
    fill(this.sizes, ...SIZES.map((size) => h("button", { "aria-pressed": String(size === this.size), onclick: () => this.resize(size) }, t("wall.size", { size }))));
    this.grid.dataset["tiles"] = String(this.size);
    const old = new Map([...this.grid.querySelectorAll("live-tile")].map((tile) => [tile.getAttribute("stream"), /** @type {LiveTile} */ (tile)]));
    for (let place = 0; place < this.size; place += 1) {
      const stream = this.places[place] ?? null;
      const here = this.grid.children[place];
      if (here && (stream ? here.getAttribute("stream") === stream : here.classList.contains("vacant"))) continue;
      const next = stream ? (old.get(stream) ?? this.makeTile(stream)) : this.makeVacancy();
      if (here) here.replaceWith(next);
      else this.grid.append(next);
    }
    while (this.grid.children.length > this.size) this.grid.lastElementChild?.remove();
    [...this.grid.children].forEach((element, place) => element.setAttribute("data-place", String(place)));
    this.drawList();
  }

  /** @param {number} size */
  resize(size) {
    this.size = size;
    this.keep();
    this.arrange();
  }

  /** @param {string} stream */
  makeTile(stream) {
    const tile = component(LiveTile, { stream, draggable: "true" });
    tile.show(this.stateOf(stream), this.pairedBy[stream]);
    tile.addEventListener("dragstart", (event) => event.dataTransfer?.setData("text/stream", stream));
    return this.acceptDrops(tile);
  }

  makeVacancy() {
    const nothing = this.streams.length ? t(TOUCH.matches ? "wall.vacant-tap" : "wall.vacant") : t("wall.no-streams");
    return this.acceptDrops(h("div", { class: "vacant" }, nothing));
  }

  /** @template {HTMLElement} T @param {T} element @returns {T} */
  acceptDrops(element) {
    element.addEventListener("dragover", (event) => {
      event.preventDefault();
      element.classList.add("over");
    });
    element.addEventListener("dragleave", () => element.classList.remove("over"));
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      element.classList.remove("over");
      const stream = event.dataTransfer?.getData("text/stream");
      if (stream) this.place(stream, Number(element.dataset["place"]));
    });
    return element;
  }

  /** Put a stream in a place; what was there goes where it came from. @param {string} stream @param {number} place */
  place(stream, place) {
    const from = this.places.indexOf(stream);
    const there = this.places[place] ?? null;
    while (this.places.length <= place) this.places.push(null);
    this.places[place] = stream;
    if (from >= 0 && from !== place) this.places[from] = there;
    this.keep();
    this.arrange();
  }

  /** Take a stream to the first vacant place, or off the wall. @param {string} stream */
  toggle(stream) {
    const at = this.places.indexOf(stream);
    if (at >= 0 && at < this.size) {
      this.places[at] = null;
      this.keep();
      this.arrange();
      return;
    }
    const vacant = Array.from({ length: this.size }, (_, place) => place).find((place) => !this.places[place]);
    this.place(stream, vacant ?? this.size - 1);
  }

  drawList() {
    const shown = new Set(this.places.slice(0, this.size));
    const signature = JSON.stringify(this.streams.map((state) => [state.stream, shown.has(state.stream)]));
    if (signature === this.list.dataset["signature"]) return; // a redraw would break off a drag
    this.list.dataset["signature"] = signature;
    fill(
      this.list,
      ...this.streams.map((state) =>
        h(
          "button",
          {
            draggable: "true",
            "aria-pressed": String(shown.has(state.stream)),
            onclick: () => this.toggle(state.stream),
            ondragstart: (/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/stream", state.stream),
          },
          state.stream,
        ),
      ),
      !this.streams.length && h("span", { class: "soft" }, t(mayBe("inspector") ? "wall.no-own" : "wall.no-streams")),
    );
  }
}

customElements.define("live-wall", LiveWall);
