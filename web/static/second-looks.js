// Finished tasks that were drawn to be looked at again: to whom each is given, and what was found.
import { askAct } from "./act-dialog.js";
import { call, mayBe, part, whoami } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { nextSteps } from "./look-steps.js";
import { moment, named, t } from "./words.js";

/** @typedef {{task: string, drawn_at: number, drawn_ms: number, assigned_at: number | null, to: string | null, found_at: number | null, found_ms: number | null, outcome: "confirmed" | "findings" | null, by: string | null, text: string | null, declaration: string | null, enterprise: string | null}} Look */

export class SecondLooks extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.all = false;
    /** @type {{name: string, display: string, role: string, disabled: boolean}[]} */
    this.people = [];
    this.body = h("div", {}, h("p", { class: "empty pulse" }, t("app.loading")));
  }

  connectedCallback() {
    const choice = h("button", { "aria-pressed": "false", onclick: () => this.toggle(choice) }, t("looks.all"));
    fill(this, h("div", { class: "page-head" }, h("h1", { class: "grow" }, t("nav.looks")), choice), h("p", { class: "soft" }, t("looks.about")), this.body);
    this.stop = whenChanged(["supervision", "draw", "lagging"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  /** @param {HTMLButtonElement} choice */
  toggle(choice) {
    this.all = !this.all;
    choice.setAttribute("aria-pressed", String(this.all));
    void this.refresh();
  }

  async refresh() {
    try {
      if (mayBe("supervisor") && !this.people.length) this.people = (await call("GET", "people")).people;
      const answer = await call("GET", `second-looks?open_only=${!this.all}`);
      const looks = /** @type {Look[]} */ (answer.looks);
      fill(this.body, looks.length ? h("ul", { class: "card" }, ...looks.map((look) => this.item(look, answer.names))) : h("p", { class: "empty" }, t(mayBe("inspector") ? "looks.empty-own" : "looks.empty")));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Look} look @param {Record<string, string>} names */
  item(look, names) {
    const state = look.outcome ?? (look.to === null ? "drawn" : "assigned");
    const shape = { drawn: "wait", assigned: "unknown", confirmed: "good", findings: "bad" }[state];
    const mine = look.to !== null && look.to === whoami()?.person && look.found_at === null;
    return h(
      "li",
      { class: "list-item" },
      h("span", { class: `badge ${shape}` }, h("i"), t(`looks.${state}`)),
      h(
        "div",
        { class: "grow" },
        h("a", { href: `/tasks/${part(look.task)}` }, look.task),
        h("div", { class: "soft small" }, t("looks.drawn-at", { time: moment(look.drawn_ms), leaf: look.drawn_at })),
        look.to !== null && h("div", { class: "small" }, t("looks.given-to", { who: named(names, look.to) })),
        look.text !== null && h("div", {}, look.text),
      ),
      nextSteps(look),
      look.found_at === null && mayBe("supervisor") && h("button", { onclick: () => void this.assign(look) }, t(look.to === null ? "looks.assign" : "looks.assign-other")),
      mine && h("button", { class: "primary", onclick: () => void this.find(look, "confirmed") }, t("looks.confirm")),
      mine && h("button", { class: "danger", onclick: () => void this.find(look, "findings") }, t("looks.say-findings")),
    );
  }

  /** @param {Look} look */
  async assign(look) {
    const able = this.people.filter((one) => ["inspector", "supervisor"].includes(one.role) && !one.disabled);
    const list = h("select", { name: "to", required: true, "aria-label": t("looks.to") }, ...able.map((one) => h("option", { value: one.name }, `${one.display} (${one.name})`)));
    const failure = h("p", { class: "notice bad hidden", role: "alert" });
    const dialog = h("dialog", { class: "stack", "aria-label": t("looks.assign") });
    const give = async (/** @type {Event} */ event) => {
      event.preventDefault();
      try {
        await call("POST", `second-looks/${part(look.task)}/assignment`, { to: list.value });
        dialog.close();
        await this.refresh();
      } catch (error) {
        failure.textContent = error instanceof Error ? error.message : "";
        failure.classList.remove("hidden");
      }
    };
    const buttons = h("div", { class: "row" }, h("button", { class: "primary" }, t("looks.assign")), h("button", { type: "button", onclick: () => dialog.close() }, t("app.cancel")));
    dialog.append(h("form", { class: "stack", onsubmit: give }, h("h2", {}, t("looks.assign")), h("p", {}, t("looks.assign-effect")), h("label", {}, h("span", {}, t("looks.to")), list), failure, buttons));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  /** @param {Look} look @param {"confirmed" | "findings"} outcome */
  async find(look, outcome) {
    const act = (/** @type {Record<string, string>} */ given) => call("POST", `second-looks/${part(look.task)}/result`, { outcome, text: given["text"] });
    const title = t(outcome === "confirmed" ? "looks.confirm" : "looks.say-findings");
    if (await askAct({ title, effect: t("looks.find-effect"), fields: [{ name: "text", word: t("words.text") }], danger: outcome === "findings", act })) await this.refresh();
  }
}

customElements.define("second-looks", SecondLooks);
