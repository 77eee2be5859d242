// What stands where in the house: a column for each next step, a card for each inspection; and the list of all tasks.
import { call, mayBe, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { TaskList } from "./task-list.js";
import { known, moment, named, several, stretch, t } from "./words.js";

/** @typedef {{column: string, declaration: string | null, task: string | null, title: string, state: string, since_ms: number, people: string[], bay: string | null, alarms: number, held: boolean, have: number | null, want: number | null}} Card */
/** @typedef {{columns: string[], cards: Card[], names: Record<string, string>, now_ms: number}} Answer */

export class TaskBoard extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.asList = localStorage.getItem("tasks-as") === "list";
    this.chosen = "";
    this.columns = h("div", { class: "board" }, h("p", { class: "empty pulse" }, t("app.loading")));
    this.list = new TaskList();
  }

  connectedCallback() {
    this.draw();
    this.stop = whenChanged(["task", "declaration", "alarm", "alarm acknowledged", "lagging"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  draw() {
    const choice = (/** @type {boolean} */ asList, /** @type {string} */ word) => h("button", { "aria-pressed": String(this.asList === asList), onclick: () => this.choose(asList) }, t(word));
    const open = mayBe("supervisor") && h("button", { class: "primary", onclick: () => void this.list.openTask() }, t("tasks.new"));
    fill(this, h("div", { class: "page-head" }, h("h1", {}, t("nav.tasks")), h("span", { class: "row", role: "group", "aria-label": t("board.view") }, choice(false, "board.board"), choice(true, "board.list")), h("span", { class: "grow" }), open), this.asList ? this.list : this.columns);
    if (!this.asList) this.append(this.list); // its form opens from here too
    this.list.classList.toggle("hidden", !this.asList);
  }

  /** @param {boolean} asList */
  choose(asList) {
    this.asList = asList;
    localStorage.setItem("tasks-as", asList ? "list" : "board");
    this.draw();
  }

  async refresh() {
    try {
      this.fill(/** @type {Answer} */ (await call("GET", "board")));
    } catch (error) {
      fill(this.columns, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Answer} answer */
  fill(answer) {
    if (!answer.cards.length) return fill(this.columns, h("p", { class: "empty" }, t(mayBe("supervisor") ? "board.empty" : "tasks.empty-own")));
    const groups = answer.columns.map((column) => ({ column, cards: answer.cards.filter((card) => card.column === column) }));
    fill(
      this.columns,
      ...groups.map(({ column, cards }) =>
        h("section", { class: `column${cards.length ? "" : " vacant-column"}`, "aria-label": t(`board.${column}`) }, h("h2", {}, t(`board.${column}`), h("span", { class: "soft" }, ` ${cards.length}`)), ...cards.map((card) => this.card(card, answer))),
      ),
    );
  }

  /** @param {Card} card @param {Answer} answer */
  card(card, answer) {
    const where = card.task ? `/tasks/${part(card.task)}` : `/declarations/${part(card.declaration ?? "")}`;
    const who = several(card.people.map((login) => named(answer.names, login)));
    return h(
      "article",
      { class: "card work-card" },
      h("a", { href: where }, h("strong", {}, card.task ?? card.declaration ?? "")),
      h("div", {}, card.title),
      h("div", { class: "row small" }, h("span", { class: "badge off" }, h("i"), known("state-of", card.state)), card.held && h("span", { class: "badge warn" }, h("i"), t("board.held")), card.alarms > 0 && h("a", { class: "badge bad", href: "/alarms" }, h("i"), t("board.alarms", { count: card.alarms }))),
      h("div", { class: "soft small", title: moment(card.since_ms) }, t("board.since", { age: stretch(Math.max(0, answer.now_ms - card.since_ms)) })),
      card.want !== null && h("div", { class: "row small" }, h("meter", { min: "0", max: String(card.want), value: String(card.have), "aria-label": t("board.meter", { have: card.have ?? 0, want: card.want }) }), t("board.meter", { have: card.have ?? 0, want: card.want })),
      (who || card.bay) && h("div", { class: "small" }, [who, card.bay].filter(Boolean).join(" · ")),
      card.task && card.declaration && h("a", { class: "small", href: `/declarations/${part(card.declaration)}` }, card.declaration),
      this.next(card),
    );
  }

  /** Send inspectors to a bay. @param {Card} card */
  async dispatch(card) {
    const bays = /** @type {{key: string}[]} */ ((await call("GET", "references/bay").catch(() => ({ entries: [] }))).entries ?? []);
    const bay = bays.length
      ? h("select", { name: "bay", required: true }, ...bays.map((one) => h("option", { value: one.key }, one.key)))
      : h("input", { name: "bay", required: true, maxlength: "64" });
    const failure = h("p", { class: "notice bad hidden", role: "alert" });
    const dialog = h("dialog", { class: "stack", "aria-label": t("board.dispatch-now") });
    const send = async (/** @type {Event} */ event) => {
      event.preventDefault();
      try {
        const answer = await call("POST", `declarations/${part(card.declaration ?? "")}/dispatch`, { bay: bay.value });
        dialog.close();
        history.pushState(null, "", `/tasks/${part(answer.task)}`);
        dispatchEvent(new PopStateEvent("popstate"));
      } catch (error) {
        failure.textContent = error instanceof Error ? error.message : "";
        failure.classList.remove("hidden");
      }
    };
    const buttons = h("div", { class: "row" }, h("button", { class: "primary" }, t("board.dispatch-now")), h("button", { type: "button", onclick: () => dialog.close() }, t("app.cancel")));
    const who = several(card.people);
    dialog.append(h("form", { class: "stack", onsubmit: send }, h("h2", {}, t("board.dispatch-now")), h("p", {}, t("board.dispatch-effect", { number: card.declaration ?? "", who: who || t("app.none") })), h("label", {}, h("span", {}, t("task.bay")), bay), failure, buttons));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  /** The next step as one button, where this person takes it. @param {Card} card */
  next(card) {
    if (!mayBe("supervisor")) return null;
    if (card.column === "dispatch" && card.state === "held") return h("button", { class: "primary", onclick: () => void this.dispatch(card) }, t("board.dispatch-now"));
    if (card.column === "release") return h("a", { class: "button primary", href: "/desk" }, t("board.to-desk"));
    if (card.column === "evaluate") return h("a", { class: "button", href: "/desk" }, t("board.to-evaluate"));
    return null;
  }
}

customElements.define("task-board", TaskBoard);
