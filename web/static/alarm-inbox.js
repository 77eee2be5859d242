// Alarms that wait for a person: the hub counts the same one up, here they stand by kind; acknowledging says who saw it and after how long.
import { call, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { nextSteps } from "./look-steps.js";
import { known, moment, named, stretch, t } from "./words.js";

/** @typedef {{id: number, kind: string, subject: string, detail: string, first_ms: number, last_ms: number, count: number, acknowledged_ms: number | null, acknowledged_by: string | null}} Alarm */

// what rings, the most frequent first; a word and a sentence for each are in the locales
const KINDS = [
  "box offline", "pairing refused", "password guessed at", "view not recorded", "equivocation", "equivocation refused", "equivocation not logged", "lost head",
  "rollback not logged", "record refused", "blob mismatch", "blob length", "quarantine full", "message refused", "time authority", "disposal stopped", "monitor",
  "no quorum", "log stopped", "log behind", "unwitnessed start", "phone clock wrong", "video overdue", "ticket used twice", "second look findings",
];
const LOOKED = "second look findings";

export class AlarmInbox extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.all = false;
    this.body = h("div", {}, h("p", { class: "empty pulse" }, t("app.loading")));
    /** @type {Record<string, string>} */
    this.names = {};
    /** @type {Map<string, import("./look-steps.js").Found>} */
    this.looks = new Map();
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
      if (alarms.some((alarm) => alarm.kind === LOOKED)) await this.look();
      this.draw(alarms);
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** Read what second looks found, for the steps that follow from it. */
  async look() {
    const answer = await call("GET", "second-looks?open_only=false");
    this.looks = new Map(answer.looks.map((/** @type {import("./look-steps.js").Found} */ one) => [one.task, one]));
  }

  /** Alarms of a kind stand together, the kind whose oldest has waited longest first. @param {Alarm[]} alarms */
  draw(alarms) {
    if (!alarms.length) return fill(this.body, h("p", { class: "empty" }, t("alarms.empty")));
    /** @type {Map<string, Alarm[]>} */
    const groups = new Map();
    for (const alarm of alarms) groups.set(alarm.kind, [...(groups.get(alarm.kind) ?? []), alarm]);
    const waits = (/** @type {Alarm[]} */ group) => Math.min(...group.map((alarm) => (alarm.acknowledged_ms ? Infinity : alarm.first_ms)));
    const sorted = [...groups.values()].sort((one, other) => waits(one) - waits(other));
    fill(this.body, ...sorted.map((group) => this.group(group)));
  }

  /** @param {Alarm[]} group */
  group(group) {
    const [first] = group;
    if (!first) return null;
    const open = group.filter((alarm) => !alarm.acknowledged_ms);
    const about = known("alarm-about", first.kind);
    const all = open.length > 1 && h("button", { onclick: () => void this.acknowledge(open) }, t("alarms.acknowledge-all", { count: open.length }));
    return h(
      "section",
      { class: "card below", "aria-label": known("alarm", first.kind) },
      h("div", { class: "row" }, h("span", { class: `badge ${open.length ? "bad" : "off"}` }, h("i"), known("alarm", first.kind)), h("span", { class: "soft" }, t("alarms.in-group", { count: group.length })), h("span", { class: "grow" }), all),
      about !== first.kind && h("p", { class: "below" }, about),
      h("ul", {}, ...group.map((alarm) => this.item(alarm))),
    );
  }

  /** @param {Alarm[]} alarms */
  async acknowledge(alarms) {
    for (const alarm of alarms) await call("POST", `alarms/${part(alarm.id)}/acknowledge`).catch(() => undefined); // somebody else may have been quicker
    await this.refresh();
  }

  /** @param {Alarm} alarm */
  item(alarm) {
    const by = alarm.acknowledged_by ?? "";
    const look = alarm.kind === LOOKED ? this.looks.get(alarm.subject) : undefined;
    const lasted = `${moment(alarm.first_ms)}${alarm.count > 1 ? ` – ${moment(alarm.last_ms)} · ${t("alarms.count", { count: alarm.count })}` : ""}`;
    const waits = !alarm.acknowledged_ms && h("span", { class: "soft small" }, t("alarms.waits", { age: stretch(Math.max(0, Date.now() - alarm.first_ms)) }));
    const taken = alarm.acknowledged_ms ? stretch(Math.max(0, alarm.acknowledged_ms - alarm.first_ms)) : "";
    return h(
      "li",
      { class: "list-item" },
      h("div", { class: "grow" }, subjectOf(alarm), h("details", { class: "small soft" }, h("summary", {}, t("alarms.detail")), h("code", { lang: "en" }, alarm.detail)), h("div", { class: "soft small" }, lasted), waits),
      look && nextSteps(look),
      alarm.acknowledged_ms
        ? h("span", { class: "soft small" }, by.startsWith("hub:") ? t("alarms.over", { time: moment(alarm.acknowledged_ms) }) : t("alarms.seen", { who: named(this.names, by), time: moment(alarm.acknowledged_ms) }), ` · ${t("alarms.after", { age: taken })}`)
        : h("button", { onclick: () => void this.acknowledge([alarm]) }, t("alarms.acknowledge")),
    );
  }
}

const TASKS = ["phone clock wrong", "video overdue", "ticket used twice", LOOKED];

/** What rang, with the way to it. @param {Alarm} alarm */
function subjectOf(alarm) {
  const word = h("strong", {}, known("alarm-subject", alarm.subject));
  const at = TASKS.includes(alarm.kind) ? `/tasks/${part(alarm.subject)}` : /^D-\d{8}-\d+$/.test(alarm.subject) ? `/declarations/${part(alarm.subject)}` : /^draw-\d+$/.test(alarm.subject) ? `/draws/${Number(alarm.subject.slice(5))}` : /^box[\w-]*$/.test(alarm.subject) ? "/devices" : /^[\w-]+\/[\w-]+$/.test(alarm.subject) ? "/wall" : "";
  return at ? h("a", { href: at }, word) : word;
}

customElements.define("alarm-inbox", AlarmInbox);
