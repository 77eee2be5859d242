// Export a task: progress with bytes and time left; it can be left and found again, and says when it is done.
import { call, mayBe, part } from "./api.js";
import { fill, h } from "./dom.js";
import { bytes, stretch, t } from "./words.js";

/** @typedef {{export: string, task: string, state: "running" | "done" | "failed", done_bytes: number, total_bytes: number, what: string, bundle: string | null}} Export */

const ASK_MS = 700;

export class TaskExport extends HTMLElement {
  constructor() {
    super();
    this.name = "";
    this.timer = 0;
    this.began = 0;
    this.isOpen = false;
    this.body = h("div", { class: "stack" });
  }

  connectedCallback() {
    this.classList.add("card");
    this.style.display = "block";
    fill(this, h("h2", {}, t("export.title")), this.body);
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  /** @param {import("./task-list.js").Task} task */
  show(task) {
    if (this.name === task.task && this.isOpen === (task.state === "open")) return;
    this.name = task.task;
    this.isOpen = task.state === "open";
    const kept = sessionStorage.getItem(`export:${this.name}`);
    if (kept) void this.follow(kept);
    else this.offer();
  }

  offer() {
    const may = mayBe("supervisor");
    fill(this.body, h("p", { class: "soft" }, t("export.about")), may ? h("button", { disabled: this.isOpen, onclick: () => void this.start() }, t("export.start")) : h("p", { class: "soft small" }, t("export.only")), may && this.isOpen && h("p", { class: "soft small" }, t("export.open")));
  }

  async start() {
    this.began = Date.now();
    fill(this.body, h("progress"), h("p", { class: "small" }, t("export.gathering")));
    try {
      const answer = await call("POST", `tasks/${part(this.name)}/exports`);
      sessionStorage.setItem(`export:${this.name}`, answer.export);
      await this.follow(answer.export);
    } catch (error) {
      this.fail(error instanceof Error ? error.message : "");
    }
  }

  /** @param {string} identifier */
  async follow(identifier) {
    try {
      const answer = await call("GET", `exports/${part(identifier)}`);
      this.draw(answer);
      if (answer.state === "running") this.timer = window.setTimeout(() => void this.follow(identifier), ASK_MS);
    } catch {
      sessionStorage.removeItem(`export:${this.name}`);
      this.offer();
    }
  }

  /** @param {Export} answer */
  draw(answer) {
    if (answer.state === "failed") return this.fail(answer.what);
    if (answer.state === "done")
      return fill(
        this.body,
        h("p", { class: "notice good" }, t("export.done", { size: bytes(answer.done_bytes) })),
        h("a", { class: "button primary", href: `/api/v1/exports/${part(answer.export)}/bundle.zip`, download: `${answer.task}.zip` }, t("export.download")),
        h("button", { class: "quiet", onclick: () => void this.start() }, t("export.again")),
      );
    const share = answer.total_bytes ? answer.done_bytes / answer.total_bytes : 0;
    const left = share > 0.02 && this.began ? stretch(((Date.now() - this.began) * (1 - share)) / share) : "…";
    fill(this.body, h("progress", { max: "1", value: String(share) }), h("p", { class: "small" }, t("export.progress", { done: bytes(answer.done_bytes), total: bytes(answer.total_bytes), left })));
  }

  /** @param {string} what */
  fail(what) {
    sessionStorage.removeItem(`export:${this.name}`);
    fill(this.body, h("p", { class: "notice bad" }, what), h("button", { onclick: () => void this.start() }, t("export.again")));
  }
}

customElements.define("task-export", TaskExport);
