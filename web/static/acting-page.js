// What a page has that shows a list or one thing and acts on it: it says what became of an act, hears of changes, and lets a person finish writing.
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { t } from "./words.js";

export class ActingPage extends HTMLElement {
  /** @param {string} topic of the changes that it hears */
  constructor(topic) {
    super();
    this.topic = topic;
    this.said = h("p", { class: "notice hidden", role: "status" });
    this.body = h("div", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    /** @type {(() => void) | null} */
    this.unhear = null;
  }

  connectedCallback() {
    this.classList.add("stack");
    this.style.display = "block";
    fill(this, ...this.frame());
    this.unhear = whenChanged([this.topic], () => this.refresh());
    void this.show();
  }

  disconnectedCallback() {
    this.unhear?.();
  }

  /** What stands around the body, the body among it. @returns {(Node | string | null | false | undefined)[]} */
  frame() {
    return [this.said, this.body];
  }

  /** Ask for what is shown, and fill the body. @returns {Promise<void>} */
  async ask() {
    throw new Error("a page says what it asks for");
  }

  async refresh() {
    if (this.body.contains(document.activeElement) && ["INPUT", "TEXTAREA", "SELECT"].includes(document.activeElement?.tagName ?? "")) return; // somebody writes
    await this.show();
  }

  async show() {
    try {
      await this.ask();
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad", role: "alert" }, error instanceof Error ? error.message : ""), h("button", { onclick: () => void this.show() }, t("credit.again")));
    }
  }

  /** Do something and say what became of it. @param {() => Promise<unknown>} work */
  async act(work) {
    try {
      await work();
      this.said.className = "notice good";
      this.said.textContent = t("credit.done");
      await this.show();
    } catch (error) {
      this.said.className = "notice bad";
      this.said.textContent = error instanceof Error ? error.message : "";
    }
    this.said.scrollIntoView({ block: "nearest" });
  }
}
