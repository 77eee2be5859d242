// Declarations, newest first: a trader's own with what comes next, the port's with filters; the address keeps the filters.
import { call, mayBe } from "./api.js";
import { whenChanged } from "./changes.js";
import { holdBadges, stateBadge } from "./declaration-state.js";
import { fill, h, values } from "./dom.js";
import { moment, t } from "./words.js";

/** @typedef {import("./declaration-state.js").Declaration} Declaration */

export const STATES = [
  "lodged", "rejected", "accepted", "screened", "direct-release", "doc-check", "selected", "held", "dispatched", "positioned", "paired", "inspecting",
  "sampled", "lab-pending", "treatment", "passed", "failed", "rectify", "re-inspect", "return", "destroy", "detained", "moved-under-control", "case-filed",
  "release-approved", "released", "recalled", "gate-out", "follow-up", "withdrawn", "archived",
];
const PAGE = 50;

export class DeclarationList extends HTMLElement {
  constructor() {
    super();
    this.body = h("div", { class: "stack", "aria-live": "polite" }, h("p", { class: "pulse" }, t("app.loading")));
    /** @type {Declaration[]} */
    this.found = [];
    /** @type {string | null} */
    this.next = null;
    this.unhear = () => {};
  }

  connectedCallback() {
    this.classList.add("stack");
    this.style.display = "block";
    const lodge = h("a", { class: "button primary", href: "/declarations/new" }, t("declaration.new"));
    fill(this, h("div", { class: "page-head" }, h("h1", {}, t("nav.declarations")), lodge), h("p", { class: "soft" }, t(mayBe("trader") ? "declaration.about-own" : "declaration.about")), this.filters(), this.body);
    this.unhear = whenChanged(["declaration"], () => this.refresh());
    void this.refresh();
  }

  disconnectedCallback() {
    this.unhear();
  }

  wishes() {
    const asked = new URLSearchParams(location.search);
    const wishes = new URLSearchParams({ limit: String(PAGE) });
    for (const name of ["state", "begins", "enterprise"]) if (asked.get(name)) wishes.set(name, asked.get(name) ?? "");
    return wishes;
  }

  filters() {
    const asked = new URLSearchParams(location.search);
    const state = h("select", { name: "state" }, h("option", { value: "" }, t("declaration.any-state")), ...STATES.map((one) => h("option", { value: one, selected: asked.get("state") === one }, t(`declared.${one}`))));
    const form = h(
      "form",
      {
        class: "card row align-end",
        role: "search",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          this.look(form);
        },
      },
      h("label", { class: "grow" }, h("span", {}, t("declaration.search")), h("input", { name: "begins", type: "search", value: asked.get("begins") ?? "", maxlength: "64" })),
      h("label", {}, h("span", {}, t("declaration.state")), state),
      !mayBe("trader") && h("label", {}, h("span", {}, t("form.enterprise")), h("input", { name: "enterprise", value: asked.get("enterprise") ?? "", maxlength: "40" })),
      h("button", {}, t("declaration.find")),
    );
    state.addEventListener("change", () => this.look(form));
    return form;
  }

  /** @param {HTMLFormElement} form */
  look(form) {
    const given = new URLSearchParams(Object.entries(values(form)).filter(([, value]) => value));
    history.replaceState(null, "", given.size ? `/declarations?${given}` : "/declarations");
    void this.refresh();
  }

  async refresh() {
    try {
      const answer = await call("GET", `declarations?${this.wishes()}`);
      [this.found, this.next] = [answer.declarations, answer.next];
      this.draw();
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad", role: "alert" }, error instanceof Error ? error.message : ""));
    }
  }

  async more() {
    const wishes = this.wishes();
    wishes.set("before", this.next ?? "");
    const answer = await call("GET", `declarations?${wishes}`);
    this.found = [...this.found, ...answer.declarations];
    this.next = answer.next;
    this.draw();
  }

  draw() {
    const wished = this.wishes().size > 1;
    if (!this.found.length) {
      fill(this.body, h("div", { class: "empty" }, h("p", {}, t(wished ? "declaration.none-such" : "declaration.none")), !wished && h("a", { class: "button primary", href: "/declarations/new" }, t("declaration.new"))));
      return;
    }
    const own = mayBe("trader");
    const heads = ["declaration.number", "form.reference", ...(own ? [] : ["form.enterprise"]), "declaration.state", own ? "declaration.next" : "declaration.version", "declaration.changed"];
    const rows = this.found.map((one) =>
      h(
        "tr",
        {},
        h("td", { "data-name": t("declaration.number") }, h("a", { href: `/declarations/${one.number}` }, one.number)),
        h("td", { "data-name": t("form.reference") }, one.reference),
        !own && h("td", { "data-name": t("form.enterprise") }, one.enterprise),
        h("td", { "data-name": t("declaration.state") }, h("div", { class: "row" }, stateBadge(one.state), ...holdBadges(one))),
        h("td", { "data-name": t(own ? "declaration.next" : "declaration.version"), class: own ? "soft small" : "" }, own ? t(`coming.${one.state}`) : String(one.version)),
        h("td", { "data-name": t("declaration.changed") }, moment(one.changed_ms)),
      ),
    );
    fill(
      this.body,
      h("div", { class: "card scroll" }, h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows))),
      this.next && h("button", { onclick: () => void this.more() }, t("declaration.more")),
    );
  }
}

customElements.define("declaration-list", DeclarationList);
