// People and their roles: add, change, disable, give a fresh password. Traders and partners act for one party. For administrators.
import { call, part } from "./api.js";
import { askFor, confirmAct, sayNo } from "./confirming.js";
import { fill, h, values } from "./dom.js";
import { moment, t } from "./words.js";

/** @typedef {{key_id: string, device: string, state: string, until_ms: number, position: number}} PhoneKey */
/** @typedef {{name: string, display: string, role: string, party: string | null, disabled: boolean, created_ms: number, password: string | null}} Person */

const ROLES = ["supervisor", "inspector", "administrator", "trader", "partner"];
const OUTSIDE = ["trader", "partner"];

export class PeoplePage extends HTMLElement {
  constructor() {
    super();
    this.said = h("p", { class: "notice hidden", role: "status" });
    /** @type {HTMLDetailsElement | null} */
    this.rights = null;
    this.body = h("div", { class: "card scroll" }, h("p", { class: "pulse" }, t("app.loading")));
  }

  connectedCallback() {
    const role = h("select", { name: "role", onchange: () => show() }, ...ROLES.map((one) => h("option", { value: one }, t(`role.${one}`))));
    const party = h("input", { name: "party", maxlength: "64", autocapitalize: "characters", spellcheck: "false" });
    const partyWord = h("span", {});
    const partyField = h("label", { class: "grow hidden" }, partyWord, party);
    const show = () => {
      const outside = OUTSIDE.includes(role.value);
      partyField.classList.toggle("hidden", !outside);
      party.required = outside;
      partyWord.textContent = t(`people.party-${role.value === "partner" ? "partner" : "trader"}`);
    };
    const form = h(
      "form",
      {
        class: "card row align-end",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          const given = values(form);
          void this.act(() => call("POST", "people", { name: given["name"], display: given["display"] ?? "", role: given["role"], party: (OUTSIDE.includes(role.value) && given["party"]) || null }));
        },
      },
      h("label", { class: "grow" }, h("span", {}, t("login.name")), h("input", { name: "name", required: true, maxlength: "40", autocapitalize: "none" })),
      h("label", { class: "grow" }, h("span", {}, t("people.display")), h("input", { name: "display", maxlength: "80" })),
      h("label", { class: "grow" }, h("span", {}, t("people.role")), role),
      partyField,
      h("button", { class: "primary" }, t("people.add")),
    );
    this.classList.add("stack");
    this.style.display = "block";
    this.rights = h("details", { class: "card", ontoggle: () => void this.drawRights() }, h("summary", {}, t("people.rights")));
    fill(this, h("div", { class: "page-head" }, h("h1", {}, t("nav.people"))), form, this.said, this.body, this.rights);
    void this.refresh();
  }

  async refresh() {
    try {
      const answer = await call("GET", "people");
      fill(this.body, h("table", { class: "fold people" }, h("thead", {}, h("tr", {}, ...["login.name", "people.display", "people.role", "task.state", "people.since", "people.acts"].map((head) => h("th", {}, t(head))))), h("tbody", {}, .../** @type {Person[]} */ (answer.people).map((person) => this.row(person)))));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Person} person */
  row(person) {
    const path = `people/${part(person.name)}`;
    const role = h("select", { "aria-label": t("people.role"), onchange: () => void this.turn(person, role.value) }, ...ROLES.map((one) => h("option", { value: one, selected: one === person.role }, t(`role.${one}`))));
    const fresh = async () => {
      if (await confirmAct(t("people.password"), t("people.password-effect", { name: person.name }))) await this.act(() => call("PATCH", path, { new_password: true }));
    };
    const disable = async () => {
      if (person.disabled || (await confirmAct(t("people.disable"), t("people.disable-effect", { name: person.name })))) await this.act(() => call("PATCH", path, { disabled: !person.disabled }));
    };
    return h(
      "tr",
      {},
      h("td", { "data-name": t("login.name") }, h("strong", {}, person.name)),
      h("td", { "data-name": t("people.display") }, person.display),
      h("td", { "data-name": t("people.role") }, role, person.party && h("div", { class: "soft small" }, t("people.party-of", { party: person.party }))),
      h("td", { "data-name": t("task.state") }, h("span", { class: `badge ${person.disabled ? "off" : "good"}` }, h("i"), t(person.disabled ? "people.disabled" : "people.active"))),
      h("td", { "data-name": t("people.since") }, moment(person.created_ms)),
      h("td", {}, h("div", { class: "row" }, ["inspector", "supervisor"].includes(person.role) && h("button", { "data-keys": person.name, onclick: () => void this.showKeys(person.name) }, t("people.keys")), h("button", { onclick: () => void fresh() }, t("people.password")), h("button", { class: person.disabled ? "" : "danger", onclick: () => void disable() }, t(person.disabled ? "people.enable" : "people.disable")))),
    );
  }

  /** The keys of somebody's phones, and how to end that of a lost one. @param {string} name */
  async showKeys(name) {
    const list = h("div", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    const dialog = h("dialog", { class: "stack wide", "aria-labelledby": "keys-title" }, h("h2", { id: "keys-title" }, t("people.keys-of", { name })), h("p", { class: "soft" }, t("people.keys-about")), list, h("button", { onclick: () => dialog.close() }, t("app.close")));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
    await this.fillKeys(list, name);
  }

  /** @param {HTMLElement} list @param {string} name */
  async fillKeys(list, name) {
    try {
      const keys = /** @type {PhoneKey[]} */ ((await call("GET", `people/${part(name)}/keys`)).keys);
      const end = async (/** @type {PhoneKey} */ key) => {
        const reason = await askFor(t("people.key-effect", { name, device: key.device }), t("people.key-why"), t("people.key-end"));
        if (reason === null) return;
        await call("POST", `work/keys/${key.key_id}/revoke`, { reason }).catch((error) => sayNo(t("people.key-end"), error));
        await this.fillKeys(list, name);
      };
      const now = Date.now();
      fill(list, keys.length ? null : h("p", { class: "empty" }, t("people.keys-none")), ...keys.map((key) => keyRow(key, now, () => void end(key))));
    } catch (error) {
      fill(list, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** What each role may do, as the routes of the hub name them. */
  async drawRights() {
    if (!this.rights?.open || this.rights.querySelector("table")) return;
    const answer = await call("GET", "people/rights");
    const rows = answer.rights.map((/** @type {{group: string, act: string, method: string, path: string, roles: string[]}} */ one) => h("tr", {}, h("td", { "data-name": t("people.act") }, h("div", {}, one.act), h("code", { class: "soft small" }, `${one.method} ${one.path}`)), ...ROLES.map((role) => h("td", { "data-name": t(`role.${role}`) }, one.roles.includes(role) ? h("span", { class: "badge good" }, h("i"), t("form.yes")) : h("span", { class: "soft" }, "–")))));
    this.rights.append(h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "fold" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("people.act")), ...ROLES.map((role) => h("th", { scope: "col" }, t(`role.${role}`))))), h("tbody", {}, ...rows))));
  }

  /** Give somebody another role; who acts for a party needs to be told which. @param {Person} person @param {string} role */
  async turn(person, role) {
    const path = `people/${part(person.name)}`;
    if (!OUTSIDE.includes(role)) return this.act(() => call("PATCH", path, { role }));
    const party = await askFor(t("people.party-ask", { name: person.name, role: t(`role.${role}`) }), t(`people.party-${role}`));
    return party === null ? this.refresh() : this.act(() => call("PATCH", path, { role, party }));
  }

  /** @param {() => Promise<Person>} work */
  async act(work) {
    try {
      const person = await work();
      this.said.className = "notice good";
      fill(this.said, person.password ? t("people.told", { name: person.name }) : t("people.done", { name: person.name }), " ", person.password && h("code", {}, person.password));
    } catch (error) {
      this.said.className = "notice bad";
      this.said.textContent = error instanceof Error ? error.message : "";
    }
    await this.refresh();
  }
}

/** @param {PhoneKey} key @param {number} now @param {() => void} end */
function keyRow(key, now, end) {
  const state = key.state === "revoked" ? "revoked" : key.until_ms < now ? "over" : "counts";
  return h(
    "div",
    { class: "row", "data-key": key.key_id, "data-state": state },
    h("div", { class: "grow" }, h("strong", {}, key.device), h("div", { class: "soft small" }, h("code", {}, key.key_id.slice(0, 16)), " ", t("people.key-until", { time: moment(key.until_ms) }))),
    h("span", { class: `badge ${state === "counts" ? "good" : "off"}` }, h("i"), t(`people.key-${state}`)),
    state === "counts" && h("button", { class: "danger", onclick: end }, t("people.key-end")),
  );
}

customElements.define("people-page", PeoplePage);
