// What supervisors say about a task and to its people: marks on what is looked at, instructions to the site, the second look.
import { askAct } from "./act-dialog.js";
import { call, mayBe, part, whoami } from "./api.js";
import { fill, h } from "./dom.js";
import { recordLink } from "./story-words.js";
import { moment, named, t } from "./words.js";

/** @typedef {{position: number, at_ms: number, by: string | null, text: string | null, read_ms: number | null, read_by: string | null}} Told */
/** @typedef {import("./task-list.js").Task} Task */

/** Dispatches `changed`. `player` tells what is looked at. */
export class TaskWords extends HTMLElement {
  constructor() {
    super();
    this.drawn = "";
    /** @type {() => {stream: string, ms: number} | null} */
    this.looking = () => null;
    this.body = h("section", { class: "card stack" });
  }

  connectedCallback() {
    fill(this, this.body);
  }

  /** @param {Task} task @param {Told[]} told */
  show(task, told) {
    const signature = JSON.stringify([task.state, told]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    const chief = mayBe("supervisor");
    const inspector = task.inspectors.includes(whoami()?.person ?? "");
    fill(
      this.body,
      h("h2", {}, t("words.title")),
      chief && h("div", { class: "row" }, h("button", { onclick: () => void this.mark(task) }, t("words.mark")), task.state === "open" && h("button", { onclick: () => void this.instruct(task) }, t("words.instruct"))),
      told.length === 0 && h("p", { class: "soft" }, t("words.none")),
      h(
        "ul",
        {},
        ...told.map((one) =>
          h(
            "li",
            { class: "list-item" },
            h("div", { class: "grow" }, h("strong", {}, one.text ?? t("story.erased")), h("div", { class: "soft small" }, `${moment(one.at_ms)} · ${named(task.names, one.by ?? "—")}`)),
            one.read_ms !== null
              ? h("span", { class: "badge good long" }, h("i"), t("words.read", { who: named(task.names, one.read_by ?? "—"), time: moment(one.read_ms) }))
              : inspector
                ? h("button", { class: "primary", onclick: () => void this.read(task, one) }, t("words.have-read"))
                : h("span", { class: "badge wait" }, h("i"), t("words.unread")),
          ),
        ),
      ),
    );
  }

  /** @param {Task} task */
  async mark(task) {
    const at = this.looking() ?? { stream: null, ms: Date.now() };
    const effect = t("words.mark-effect", { time: moment(at.ms), stream: at.stream ?? t("words.whole-task") });
    const act = (/** @type {Record<string, string>} */ given) => call("POST", `tasks/${part(task.task)}/annotations`, { from_ms: at.ms, to_ms: at.ms, text: given["text"], stream: at.stream });
    if (await askAct({ title: t("words.mark"), effect, fields: [{ name: "text", word: t("words.text") }], act })) this.changed();
  }

  /** @param {Task} task */
  async instruct(task) {
    const act = (/** @type {Record<string, string>} */ given) => call("POST", `tasks/${part(task.task)}/instructions`, { text: given["text"] });
    if (await askAct({ title: t("words.instruct"), effect: t("words.instruct-effect"), fields: [{ name: "text", word: t("words.text") }], act })) this.changed();
  }

  /** @param {Task} task @param {Told} one */
  async read(task, one) {
    await call("POST", `tasks/${part(task.task)}/instructions/${one.position}/acknowledge`);
    this.changed();
  }

  changed() {
    this.drawn = "";
    this.dispatchEvent(new CustomEvent("changed", { bubbles: true }));
  }
}

customElements.define("task-words", TaskWords);

/** Where the hub's record at a place of its log is opened. @param {string} hub @param {number} position */
export function ownRecord(hub, position) {
  return recordLink({ issuer: hub, epoch: 0, position }, position);
}
