// The frame around all pages: who is logged in, where one can go, the language, the light, and the line to the hub.
import "./login-form.js";
import "./live-wall.js";
import "./task-list.js";
import "./task-page.js";
import "./pairing-page.js";
import "./device-list.js";
import "./alarm-inbox.js";
import "./people-page.js";
import "./draw-page.js";
import "./log-pin.js";
import { call, remember, whoami } from "./api.js";
import { changes, whenChanged } from "./changes.js";
import { fill, h } from "./dom.js";
import { viewsTold } from "./live-view.js";
import { placeOf, RecordPage } from "./record-page.js";
import { clock, language, loadWords, t, zone } from "./words.js";

/** @typedef {{path: string, word: string, roles: string[]}} Door */

/** @type {Door[]} */
const DOORS = [
  { path: "/wall", word: "nav.wall", roles: ["supervisor", "administrator"] },
  { path: "/work", word: "nav.work", roles: ["inspector"] }, // a page of its own, that works with no network
  { path: "/pair", word: "nav.pair", roles: ["inspector"] },
  { path: "/tasks", word: "nav.tasks", roles: ["supervisor", "inspector", "administrator"] },
  { path: "/wall", word: "nav.wall", roles: ["inspector"] },
  { path: "/draws", word: "nav.draws", roles: ["supervisor", "inspector", "administrator"] },
  { path: "/devices", word: "nav.devices", roles: ["supervisor", "administrator"] },
  { path: "/alarms", word: "nav.alarms", roles: ["supervisor", "administrator"] },
  { path: "/people", word: "nav.people", roles: ["administrator"] },
];

const INSIDE = ["supervisor", "inspector", "administrator"]; // who hears what changes

const WITH_TASK = ["tasks", "pair", "draws"];

class PortWitness extends HTMLElement {
  constructor() {
    super();
    this.top = h("header", { class: "top" });
    this.offline = h("div", { class: "offline-bar hidden", role: "alert" });
    this.pin = document.createElement("log-pin");
    this.main = h("main", { tabindex: "-1" });
    this.alarms = 0;
  }

  connectedCallback() {
    this.addEventListener("click", (event) => this.onClick(event));
    this.addEventListener("logged-in", () => this.enter());
    window.addEventListener("popstate", () => this.draw());
    window.addEventListener("session-ended", () => this.leave());
    changes.addEventListener("line", (event) => this.onLine(/** @type {CustomEvent<number | null>} */ (event).detail));
    whenChanged(["alarm"], () => this.countAlarms());
    void this.begin();
  }

  async begin() {
    setLight(localStorage.getItem("light") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    await loadWords();
    remember(await call("GET", "session").catch(() => null));
    if (whoami()) this.enter();
    else this.draw();
  }

  enter() {
    if (INSIDE.includes(whoami()?.role ?? "")) changes.open();
    if (["/", "/login"].includes(location.pathname)) history.replaceState(null, "", this.home());
    void this.countAlarms();
    this.draw();
  }

  leave() {
    changes.close();
    remember(null);
    this.draw();
  }

  home() {
    return whoami()?.role === "inspector" ? "/pair" : "/wall";
  }

  /** @param {number | null} since */
  onLine(since) {
    this.classList.toggle("stale", since !== null);
    this.offline.classList.toggle("hidden", since === null);
    this.offline.textContent = since === null ? "" : t("app.offline", { time: clock(since) });
  }

  async countAlarms() {
    if (!["supervisor", "administrator"].includes(whoami()?.role ?? "")) return;
    const answer = await call("GET", "alarms").catch(() => ({ alarms: [] }));
    this.alarms = answer.alarms.length;
    this.drawTop();
  }

  draw() {
    fill(this, this.top, this.offline, this.pin, this.main);
    this.drawTop();
    document.title = `Portwitness · ${t("app.title")}`;
    if (!whoami()) {
      fill(this.main, document.createElement("login-form"));
      return;
    }
    fill(this.main, this.page());
  }

  page() {
    const [first = "", ...rest] = location.pathname.split("/").filter(Boolean);
    const door = DOORS.find((one) => one.path === `/${first}` && one.roles.includes(whoami()?.role ?? ""));
    if (first === "records" && rest.length === 3) {
      const page = new RecordPage();
      page.setAttribute("place", placeOf(rest));
      return page;
    }
    if ((!door && first !== "pair") || rest.length > (WITH_TASK.includes(first) ? 1 : 0)) return this.forbidden(rest.length ? "" : first);
    const names = { wall: "live-wall", tasks: rest[0] ? "task-page" : "task-list", pair: "pairing-page", devices: "device-list", alarms: "alarm-inbox", people: "people-page", draws: "draw-page" };
    const page = document.createElement(names[/** @type {keyof typeof names} */ (first)] ?? "live-wall");
    if (rest[0]) page.setAttribute("task", decodeURIComponent(rest[0]));
    return page;
  }

  /** @param {string} name */
  forbidden(name) {
    const exists = DOORS.some((one) => one.path === `/${name}`);
    return h("div", { class: "empty" }, h("p", {}, t(exists ? "app.forbidden" : "app.missing")), h("a", { class: "button primary", href: this.home() }, t("app.home")));
  }

  drawTop() {
    const person = whoami();
    const here = location.pathname;
    const doors = person ? DOORS.filter((door) => door.roles.includes(person.role)) : [];
    const other = language() === "en" ? "zh-CN" : "en";
    const dark = document.documentElement.dataset["theme"] === "dark";
    fill(
      this.top,
      h("a", { class: "brand", href: "/" }, h("img", { src: "/static/mark.svg", alt: "" }), h("span", {}, "Portwitness")),
      h(
        "nav",
        { "aria-label": t("nav.label") },
        ...doors.map((door) =>
          h("a", { href: door.path, "aria-current": here.startsWith(door.path) ? "page" : null }, t(door.word), door.path === "/alarms" && this.alarms > 0 && h("span", { class: "count" }, String(this.alarms))),
        ),
      ),
      h(
        "div",
        { class: "person" },
        person && h("span", { class: "zone soft small" }, zone()),
        h("button", { class: "quiet", lang: other, id: "language", onclick: () => void this.speak(other) }, other === "en" ? "English" : "中文"),
        h("button", { class: "quiet", "aria-label": t(dark ? "app.light" : "app.dark"), title: t(dark ? "app.light" : "app.dark"), onclick: () => this.light() }, dark ? "☀" : "☾"),
        person && h("span", { class: "person-name small" }, `${person.name} · ${t(`role.${person.role}`)}`),
        person && h("button", { onclick: () => void this.logOut() }, t("login.leave")),
      ),
    );
  }

  /** @param {"zh-CN" | "en"} next */
  async speak(next) {
    await loadWords(next);
    const address = new URL(location.href);
    address.searchParams.delete("lang");
    history.replaceState(null, "", address);
    this.draw();
  }

  light() {
    setLight(document.documentElement.dataset["theme"] === "dark" ? "light" : "dark");
    localStorage.setItem("light", document.documentElement.dataset["theme"] ?? "light");
    this.draw();
  }

  async logOut() {
    changes.close();
    fill(this.main); // what plays ends, and says so, while the login still counts
    await viewsTold();
    await call("DELETE", "session").catch(() => null);
    history.replaceState(null, "", "/login");
    this.leave();
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.origin !== location.origin || link.hasAttribute("download") || event.metaKey || event.ctrlKey || /^\/(api|work)(\/|$)/.test(link.pathname)) return;
    event.preventDefault();
    const there = link.pathname === "/" && whoami() ? this.home() : link.pathname + link.search;
    history.pushState(null, "", there);
    this.draw();
    this.main.focus();
    scrollTo(0, 0);
  }
}

/** @param {string} light */
function setLight(light) {
  document.documentElement.dataset["theme"] = light;
}

customElements.define("port-witness", PortWitness);
