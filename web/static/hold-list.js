// What an authority holds: place a hold on a declaration by its number, see one's own, lift them. For partners.
import { call, part } from "./api.js";
import { askFor } from "./confirming.js";
import { stateBadge } from "./declaration-state.js";
import { fill, h, values } from "./dom.js";
import { moment, t } from "./words.js";

/** @typedef {import("./declaration-state.js").Declaration} Declaration */

export class HoldList extends HTMLElement {
  constructor() {
    super();
    this.said = h("p", { class: "notice hidden", role: "status" });
    this.body = h("div", {}, h("p", { class: "pulse" }, t("app.loading")));
  }

  connectedCallback() {
    this.classList.add("stack");
    this.style.display = "block";
    const form = h(
      "form",
      {
        class: "card row align-end",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          const given = values(form);
          void this.act(() => call("POST", `declarations/${part(given["number"] ?? "")}/holds`, { reason: given["reason"] }));
        },
      },
      h("label", { class: "grow" }, h("span", {}, t("declaration.number")), h("input", { name: "number", required: true, maxlength: "64", placeholder: "D-20261130-0000001" })),
      h("label", { class: "grow" }, h("span", {}, t("form.reason")), h("input", { name: "reason", required: true, maxlength: "1000" })),
      h("button", { class: "primary" }, t("declaration.place")),
    );
    fill(this, h("div", { class: "page-head" }, h("h1", {}, t("nav.holds"))), h("p", { class: "soft" }, t("declaration.holds-partner")), form, this.said, this.body);
    void this.refresh();
  }

  async refresh() {
    try {
      const answer = await call("GET", "holds");
      const rows = answer.declarations.map((/** @type {Declaration} */ one) => h("li", { class: "list-item" }, h("strong", { class: "grow" }, one.number), stateBadge(one.state), h("span", { class: "soft small" }, moment(one.changed_ms)), h("button", { onclick: () => void this.lift(one.number) }, t("declaration.lift"))));
      fill(this.body, rows.length ? h("ul", { class: "card" }, ...rows) : h("div", { class: "empty" }, t("declaration.holds-none")));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad", role: "alert" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {string} number */
  async lift(number) {
    const reason = await askFor(t("declaration.lift-own", { number }), t("form.reason"), t("declaration.lift"));
    if (reason !== null) await this.act(() => call("POST", `declarations/${part(number)}/holds/lift`, { reason }));
  }

  /** @param {() => Promise<unknown>} work */
  async act(work) {
    try {
      await work();
      this.said.className = "notice good";
      this.said.textContent = t("draw.done");
    } catch (error) {
      this.said.className = "notice bad";
      this.said.textContent = error instanceof Error ? error.message : "";
    }
    await this.refresh();
  }
}

customElements.define("hold-list", HoldList);
