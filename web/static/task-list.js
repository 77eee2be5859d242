// Tasks, newest first, and the form that opens one: a part of the board.
import { call, mayBe, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h, values } from "./dom.js";
import { moment, named, several, t, wall } from "./words.js";

/** @typedef {{stream: string, state: string, by: string, ordered_ms: number, from_ms: number | null, to_ms: number | null, late_from_ms: number | null, second: string | null, reason: string | null, detail: string, ending: boolean}} Bond */
/** @typedef {{task: string, title: string, site: string, bay: string | null, state: "open" | "ended", opened_ms: number, ended_ms: number | null, by: string, inspectors: string[], cameras: string[], facts: Record<string, string>, paired: Bond[], names: Record<string, string>}} Task */

export class TaskList extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.body = h("div", {}, h("p", { class: "empty pulse" }, t("app.loading")));
  }

  connectedCallback() {
    fill(this, this.body); // the board around it has the heading
    this.stop = whenChanged(["task", "pairing", "lagging"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  async refresh() {
    try {
      const answer = await call("GET", "tasks");
      this.draw(answer.tasks);
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Task[]} tasks */
  draw(tasks) {
    if (!tasks.length) {
      fill(this.body, h("p", { class: "empty" }, t(mayBe("supervisor") ? "tasks.empty" : "tasks.empty-own")));
      return;
    }
    const heads = ["task.number", "task.title", "task.bay", "task.inspectors", "task.state", "task.paired", "task.opened"];
    const name = (/** @type {number} */ index) => ({ "data-name": t(heads[index] ?? "") });
    fill(
      this.body,
      h(
        "div",
        { class: "card scroll" },
        h(
          "table",
          { class: "fold" },
          h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", {}, t(head))))),
          h(
            "tbody",
            {},
            ...tasks.map((task) =>
              h(
                "tr",
                {},
                h("td", name(0), h("a", { href: `/tasks/${part(task.task)}` }, task.task)),
                h("td", name(1), task.title || "—"),
                h("td", name(2), task.bay ?? "—"),
                h("td", name(3), several(task.inspectors.map((login) => named(task.names, login))) || "—"),
                h("td", name(4), stateBadge(task)),
                h("td", name(5), String(task.paired.filter((bond) => bond.state === "paired").length)),
                h("td", name(6), moment(task.opened_ms)),
              ),
            ),
          ),
        ),
      ),
    );
  }

  async openTask() {
    const [streams, people] = await Promise.all([call("GET", "streams"), call("GET", "people")]);
    const cameras = streams.streams.filter((/** @type {{role: string}} */ stream) => stream.role === "camera");
    const inspectors = people.people.filter((/** @type {{role: string, disabled: boolean}} */ person) => person.role === "inspector" && !person.disabled);
    const failure = h("p", { class: "notice bad hidden", role: "alert" });
    const dialog = h("dialog");
    const form = h(
      "form",
      {
        class: "stack",
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          try {
            const task = await call("POST", "tasks", readTask(form));
            dialog.close();
            history.pushState(null, "", `/tasks/${part(task.task)}`);
            dispatchEvent(new PopStateEvent("popstate"));
          } catch (error) {
            failure.textContent = error instanceof Error ? error.message : "";
            failure.classList.remove("hidden");
            failure.scrollIntoView({ block: "nearest" });
          }
        },
      },
      h("h2", {}, t("tasks.new")),
      h("label", {}, h("span", {}, t("task.number")), h("input", { name: "task", required: true, maxlength: "64", value: proposedNumber() })),
      h("label", {}, h("span", {}, t("task.title")), h("input", { name: "title", maxlength: "400" })),
      h("label", {}, h("span", {}, t("task.bay")), h("input", { name: "bay", maxlength: "32", placeholder: "bay-1" })),
      choices(t("task.cameras"), "cameras", cameras.map((/** @type {{stream: string}} */ stream) => [stream.stream, stream.stream])),
      choices(t("task.inspectors"), "inspectors", inspectors.map((/** @type {{name: string, display: string}} */ person) => [person.name, person.display === person.name ? person.name : `${person.display} (${person.name})`])),
      h("label", {}, h("span", {}, t("task.facts-hint")), h("textarea", { name: "facts", rows: "3", placeholder: t("task.facts-example") })),
      failure,
      h("div", { class: "row" }, h("button", { class: "primary" }, t("tasks.open")), h("button", { type: "button", onclick: () => dialog.close() }, t("app.cancel"))),
    );
    dialog.append(form);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }
}

/** @param {string} title @param {string} name @param {[string, string][]} options */
function choices(title, name, options) {
  const boxes = options.map(([value, label]) => h("label", { class: "row" }, h("input", { type: "checkbox", name, value }), h("span", {}, label)));
  return h("fieldset", { class: "card" }, h("legend", { class: "soft small" }, title), ...(boxes.length ? boxes : [h("span", { class: "soft" }, t("app.none"))]));
}

/** Read the form; throw an Error that names the line of the facts that says nothing. @param {HTMLFormElement} form */
function readTask(form) {
  const given = values(form);
  const data = new FormData(form);
  /** @type {Record<string, string>} */
  const facts = {};
  for (const [index, line] of (given["facts"] ?? "").split("\n").entries()) {
    if (!line.trim()) continue;
    const [whole, key = "", text = ""] = /^([^:：]*)[:：](.*)$/.exec(line) ?? [];
    if (!whole || !key.trim() || !text.trim()) throw new Error(t("task.facts-wrong", { number: index + 1, line: line.trim() }));
    if (key.trim() in facts) throw new Error(t("task.facts-twice", { number: index + 1, name: key.trim() }));
    facts[key.trim()] = text.trim();
  }
  return { task: given["task"], title: given["title"] ?? "", bay: given["bay"] || null, cameras: data.getAll("cameras"), inspectors: data.getAll("inspectors"), facts };
}

function proposedNumber() {
  const [year, month, day, hours, minutes] = wall(Date.now());
  return `T-${year}${month}${day}-${String(Number(hours) * 60 + Number(minutes)).padStart(4, "0")}`;
}

/** @param {Task} task */
export function stateBadge(task) {
  return h("span", { class: `badge ${task.state === "open" ? "good" : "off"}` }, h("i"), t(`task.${task.state}`));
}

customElements.define("task-list", TaskList);
