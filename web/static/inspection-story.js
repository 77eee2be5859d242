// All that happened to a declaration on one line of time, as of any moment. Attribute `number`: which declaration.
import { call, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { EvidenceTimeline } from "./evidence-timeline.js";
import { StoryList } from "./story-list.js";
import { eventLanes } from "./story-words.js";
import { t } from "./words.js";

/** @typedef {import("./story-words.js").Story} Story */

export class InspectionStory extends HTMLElement {
  static observedAttributes = ["number"];

  constructor() {
    super();
    this.stop = () => {};
    this.timeline = new EvidenceTimeline();
    this.list = new StoryList();
    this.failure = h("p", { class: "notice bad hidden", role: "alert" });
    this.tasks = h("p", { class: "row" });
    /** @type {number | null} */
    this.asOf = null;
    this.first = 0; // its first instant
  }

  connectedCallback() {
    this.classList.add("stack");
    fill(this, this.failure, this.tasks, this.timeline, this.list);
    this.list.addEventListener("as-of", (event) => {
      this.asOf = /** @type {CustomEvent<number | null>} */ (event).detail;
      void this.refresh();
    });
    this.list.addEventListener("entry", (event) => this.list.point(/** @type {CustomEvent} */ (event).detail));
    this.timeline.addEventListener("entry", (event) => this.list.point(/** @type {CustomEvent} */ (event).detail));
    this.stop = whenChanged(["declaration", "task", "supervision", "draw", "lagging"], () => this.refresh(), 2000);
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  attributeChangedCallback() {
    if (this.isConnected) void this.refresh();
  }

  async refresh() {
    const asked = this.asOf === null ? "" : `?as_of_ms=${this.asOf}`;
    try {
      this.draw(/** @type {Story} */ (await call("GET", `declarations/${part(this.getAttribute("number") ?? "")}/story${asked}`)));
      this.failure.classList.add("hidden");
    } catch (error) {
      this.failure.textContent = error instanceof Error ? error.message : "";
      this.failure.classList.remove("hidden");
    }
  }

  /** @param {Story} story */
  draw(story) {
    if (story.is_now || !this.first) this.first = Math.ceil(story.entries[0]?.from_ms ?? story.as_of_ms);
    const ends = /** @type {[number, number]} */ ([this.first, Date.now()]);
    fill(this.tasks, ...story.tasks.map((task) => h("a", { class: "button", href: `/tasks/${part(task)}` }, t("story.task", { task }))));
    this.timeline.show({ task: "", from_ms: ends[0], to_ms: Math.max(story.as_of_ms, ends[0] + 1000), lanes: [], detail: "none" });
    this.timeline.tell(eventLanes(story));
    this.list.show(story, ends);
  }
}

customElements.define("inspection-story", InspectionStory);
