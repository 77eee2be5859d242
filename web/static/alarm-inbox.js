// Alarms that wait for a person, grouped by the hub; acknowledging one says who saw it.
import { call, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { known, moment, named, t } from "./words.js";

/** @typedef {{id: number, kind: string, subject: string, detail: string, first_ms: number, last_ms: number, count: number, acknowledged_ms: number | null, acknowledged_by: string | null}} Alarm */

// what rings, the most frequent first; a word and a sentence for each are in the locales
const KINDS = [
  "box offline", "pairing refused", "password guessed at", "view not recorded", "equivocation", "equivocation refused", "equivocation not logged", "lost head",
  "rollback not logged", "record refused", "blob mismatch", "blob length", "quarantine full", "message refused", "time authority", "disposal stopped", "monitor",
  "no quorum", "log stopped", "log behind", "unwitnessed start", "phone clock wrong", "video overdue", "ticket used twice",
];

export class AlarmInbox extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.all = false;
    this.body = h("div", {}, h("p", { class: "empty pulse" }, t("app.loading")));
    /** @type {Record<string, string>} */
    this.names = {};
    this.about = h("details", { class: "card below" }, h("summary", {}, t("alarms.which")), h("dl", { class: "below" }, ...KINDS.flatMap((kind) => [h("dt", {}, known("alarm", kind)), h("dd", {}, known("alarm-about", kind))])));
  }

  connectedCallback() {
    const choice = h("button", { "aria-pressed": "false", onclick: () => this.toggle(choice) }, t("alarms.all"));
    fill(this, h("div", { class: "page-head" }, h("h1", { class: "grow" }, t("nav.alarms")), choice), this.body, this.about);
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
      const [answer, people] = await Promise.all([call("GET", `alarms?open_only=${!this.all}`), call("GET", "people")]);
      this.names = Object.fromEntries(people.people.map((/** @type {{name: string, display: string}} */ one) => [one.name, one.display]));
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
    const by = alarm.acknowledged_by ?? "";
    const about = known("alarm-about", alarm.kind);
    return h(
      "li",
      { class: "list-item" },
      h("span", { class: `badge ${alarm.acknowledged_ms ? "off" : "bad"}` }, h("i"), known("alarm", alarm.kind)),
      h("div", { class: "grow" }, h("strong", {}, known("alarm-subject", alarm.subject)), about !== alarm.kind && h("div", {}, about), h("details", { class: "small soft" }, h("summary", {}, t("alarms.detail")), h("code", { lang: "en" }, alarm.detail)), h("div", { class: "soft small" }, `${moment(alarm.first_ms)}${alarm.count > 1 ? ` – ${moment(alarm.last_ms)} · ${t("alarms.count", { count: alarm.count })}` : ""}`)),
      alarm.acknowledged_ms ? h("span", { class: "soft small" }, by.startsWith("hub:") ? t("alarms.over", { time: moment(alarm.acknowledged_ms) }) : t("alarms.seen", { who: named(this.names, by), time: moment(alarm.acknowledged_ms) })) : h("button", { onclick: () => void acknowledge() }, t("alarms.acknowledge")),
    );
  }
}

customElements.define("alarm-inbox", AlarmInbox);
