// Alarms that wait for a person, grouped by the hub; acknowledging one says who saw it.
import { call, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { known, moment, t } from "./words.js";

/** @typedef {{id: number, kind: string, subject: string, detail: string, first_ms: number, last_ms: number, count: number, acknowledged_ms: number | null, acknowledged_by: string | null}} Alarm */

export class AlarmInbox extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.all = false;
    this.body = h("div", {}, h("p", { class: "empty pulse" }, t("app.loading")));
  }

  connectedCallback() {
    const choice = h("button", { "aria-pressed": "false", onclick: () => this.toggle(choice) }, t("alarms.all"));
    fill(this, h("div", { class: "page-head" }, h("h1", { class: "grow" }, t("nav.alarms")), choice), this.body);
    this.stop = whenChanged(["alarm", "lagging"], () => this.refresh());
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
      const answer = await call("GET", `alarms?open_only=${!this.all}`);
      const alarms = /** @type {Alarm[]} */ (answer.alarms);
      fill(this.body, alarms.length ? h("ul", { class: "card" }, ...alarms.map((alarm) => this.item(alarm))) : h("p", { class: "empty" }, t("alarms.empty")));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Alarm} alarm */
  item(alarm) {
    const acknowledge = async () => {
      await call("POST", `alarms/${part(alarm.id)}/acknowledge`);
      await this.refresh();
    };
    return h(
      "li",
      { class: "list-item" },
      h("span", { class: `badge ${alarm.acknowledged_ms ? "off" : "bad"}` }, h("i"), known("alarm", alarm.kind)),
      h("div", { class: "grow" }, h("strong", {}, alarm.subject), h("div", {}, alarm.detail), h("div", { class: "soft small" }, `${moment(alarm.first_ms)}${alarm.count > 1 ? ` – ${moment(alarm.last_ms)} · ${t("alarms.count", { count: alarm.count })}` : ""}`)),
      alarm.acknowledged_ms ? h("span", { class: "soft small" }, t("alarms.seen", { who: alarm.acknowledged_by ?? "", time: moment(alarm.acknowledged_ms) })) : h("button", { onclick: () => void acknowledge() }, t("alarms.acknowledge")),
    );
  }
}

customElements.define("alarm-inbox", AlarmInbox);
