// The menu: postures and their doors on a desk, the doors used most and a sheet with all of them on a phone. Counts stand beside doors.
import { doorsOf } from "./doors.js";
import { fill, h } from "./dom.js";
import { t } from "./words.js";

/** @typedef {import("./doors.js").Door} Door */

const FLAT = 6; // so many doors stand in one row
const BAR = 4; // so many stand in a phone's bar, beside the button for the rest

export class MainMenu extends HTMLElement {
  constructor() {
    super();
    this.role = "";
    this.path = "/";
    /** @type {Record<string, number>} */
    this.counts = {};
    this.open = false;
    this.narrow = matchMedia("(max-width: 700px)");
    this.resized = () => this.draw();
    this.keys = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "Escape" && this.open) this.toggle(false);
    };
  }

  connectedCallback() {
    this.narrow.addEventListener("change", this.resized);
    this.addEventListener("keydown", this.keys);
    this.draw();
  }

  disconnectedCallback() {
    this.narrow.removeEventListener("change", this.resized);
    this.removeEventListener("keydown", this.keys);
  }

  /** @param {string} role @param {string} path @param {Record<string, number>} counts */
  show(role, path, counts) {
    if (path !== this.path) this.open = false;
    [this.role, this.path, this.counts] = [role, path, counts];
    this.draw();
  }

  /** @param {boolean} open */
  toggle(open) {
    this.open = open;
    this.draw();
    /** @type {HTMLElement | null} */ (this.querySelector(open ? ".all-doors a" : ".more"))?.focus();
  }

  draw() {
    const groups = doorsOf(this.role);
    const doors = groups.flatMap((group) => group.doors);
    if (!doors.length) return fill(this);
    const inside = this.narrow.matches ? this.bar(groups, doors) : this.rows(groups, doors);
    const held = this.contains(document.activeElement) ? document.activeElement : null; // a count that comes in must not take the focus away
    const again = held?.classList.contains("more") ? ".more" : held ? `${held.closest(".all-doors") ? ".all-doors " : "div:not(.all-doors) > "}a[href="${held.getAttribute("href") ?? ""}"]` : "";
    fill(this, h("nav", { "aria-label": t("nav.label") }, ...inside));
    if (again) /** @type {HTMLElement | null} */ (this.querySelector(again))?.focus();
  }

  /** @param {ReturnType<typeof doorsOf>} groups @param {Door[]} doors */
  rows(groups, doors) {
    if (doors.length <= FLAT || groups.length === 1) return [h("div", { class: "doors" }, ...doors.map((door) => this.link(door)))];
    const here = groups.find((group) => group.doors.some((door) => this.isHere(door))) ?? groups[0];
    const postures = groups.map((group) => {
      const count = group.doors.reduce((sum, door) => sum + this.count(door), 0);
      return h("a", { href: `/${group.doors[0]?.name ?? ""}`, "aria-current": group === here ? "true" : null }, t(`posture.${group.posture}`), group !== here && badge(count));
    });
    return [
      h("div", { class: "postures" }, ...postures),
      h("div", { class: "doors", role: "group", "aria-label": t(`posture.${here?.posture ?? "supervise"}`) }, ...(here?.doors ?? []).map((door) => this.link(door))),
    ];
  }

  /** @param {ReturnType<typeof doorsOf>} groups @param {Door[]} doors */
  bar(groups, doors) {
    if (doors.length <= BAR + 1) return [h("div", { class: "doors" }, ...doors.map((door) => this.link(door)))];
    const first = doors.slice(0, BAR);
    const rest = doors.slice(BAR).reduce((sum, door) => sum + this.count(door), 0);
    const more = h("button", { class: "more", "aria-expanded": String(this.open), "aria-controls": "all-doors", onclick: () => this.toggle(!this.open) }, t("nav.more"), badge(rest));
    const sheet = h(
      "div",
      { class: `all-doors${this.open ? "" : " hidden"}`, id: "all-doors" },
      ...groups.map((group) => h("div", { role: "group", "aria-label": t(`posture.${group.posture}`) }, h("span", { class: "soft small" }, t(`posture.${group.posture}`)), ...group.doors.map((door) => this.link(door)))),
    );
    return [h("div", { class: "doors" }, ...first.map((door) => this.link(door)), more), sheet];
  }

  /** @param {Door} door */
  isHere(door) {
    return this.path === `/${door.name}` || this.path.startsWith(`/${door.name}/`);
  }

  /** @param {Door} door */
  count(door) {
    return door.badge ? (this.counts[door.badge] ?? 0) : 0;
  }

  /** @param {Door} door */
  link(door) {
    return h("a", { href: `/${door.name}`, "aria-current": this.isHere(door) ? "page" : null }, t(door.word), badge(this.count(door)));
  }
}

/** A count that is worth a look. @param {number} count */
function badge(count) {
  return count > 0 && h("span", { class: "count", title: t("nav.waiting", { count }) }, String(count));
}

customElements.define("main-menu", MainMenu);
