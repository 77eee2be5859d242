// The inspector's page: who works on this phone, the bar with its state on top, the pages, the bar of doors below. It begins from what
// the phone keeps, so that it is there at once with no network; the hub is asked meanwhile.
import "../login-form.js";
import "../log-pin.js";
import { call, Refusal, remember, whoami } from "../api.js";
import { fill, h } from "../dom.js";
import { loadWords, t } from "../words.js";
import { askSession, Outbox } from "./outbox.js";
import { PhoneStatus } from "./phone-status.js";
import { openStore } from "./store.js";
import { again, TaskDesk } from "./task-desk.js";
import { TaskCards } from "./task-cards.js";

/** @typedef {import("../api.js").Session} Session */
/** @typedef {{store: import("./store.js").Store, outbox: Outbox, session: Session}} Phone */

const PERSON = "portwitness.work.person";
const LEFT = "portwitness.work.left"; // somebody who left, until the hub has ended the session
const WORKER = "/work-worker.js";
const FOLLOW_MS = 5000; // whatever the first work waits for

class WorkApp extends HTMLElement {
  constructor() {
    super();
    /** @type {Phone | null} */
    this.phone = null;
    this.status = h("div", { class: "work-status-place" });
    this.news = h("div", {});
    this.main = h("main", { class: "work-main", tabindex: "-1" });
    this.doors = h("nav", { class: "work-doors" });
    this.pin = h("div", {});
    /** @type {import("./outbox.js").Met | null} */
    this.met = null;
    this.keeping = false;
  }

  connectedCallback() {
    document.documentElement.dataset["theme"] = localStorage.getItem("work-light") ?? "light"; // for sun; dark by choice only
    this.addEventListener("logged-in", () => void this.enter(whoami()));
    this.addEventListener("click", (event) => this.onClick(event));
    addEventListener("popstate", () => this.draw());
    addEventListener("online", () => void (this.phone ? null : this.endLeft()));
    addEventListener("hashchange", () => this.draw());
    fill(this, this.status, this.news, this.pin, this.main, this.doors);
    addEventListener("online", () => void this.keep());
    listenForNews(() => this.tellNews());
    if (navigator.serviceWorker?.controller) void this.keep(); // the worker has all of it: the page reads one version of it at once
    void this.begin();
  }

  async begin() {
    const [session] = await Promise.all([this.session(), loadWords()]);
    if (session) await this.enter(session);
    else this.logIn();
  }

  /** Who works on this phone, or who is logged in at the hub. @returns {Promise<Session | null>} */
  async session() {
    await this.endLeft();
    const known = JSON.parse(localStorage.getItem(PERSON) ?? "null");
    if (known || localStorage.getItem(LEFT)) return known;
    this.met = await askSession().catch(() => null);
    return this.met?.session ?? null;
  }

  /** What may come after the first work, which it would hold up: look at the log's pin, fetch the other views, keep the page. */
  follow() {
    if (!this.pin.firstChild) fill(this.pin, document.createElement("log-pin"));
    void this.keep();
  }

  /** Fetch the other views and have the browser keep the page; what fails is tried again when there is a network. */
  async keep() {
    if (this.keeping) return;
    this.keeping = true;
    this.keeping = await Promise.all([import("./other-views.js"), keepShell()]).then(() => true, () => false);
  }

  /** @param {Session | null} session */
  async enter(session) {
    if (!session) return this.logIn();
    this.phone?.outbox.stop();
    this.phone?.store.close();
    remember(session);
    if (session.role !== "inspector") return this.refuse(t("app.forbidden"));
    localStorage.setItem(PERSON, JSON.stringify(session));
    localStorage.removeItem(LEFT); // by a new login, or ended before
    const store = await openStore(session.person).catch(() => null);
    if (!store || !globalThis.crypto?.subtle) return this.refuse(t("work.cannot-keep"));
    const outbox = new Outbox(store, this.met);
    this.met = null;
    this.phone = { store, outbox, session };
    fill(this.status, new PhoneStatus(this.phone));
    outbox.addEventListener("login", () => this.offerLogin());
    outbox.addEventListener("first", () => this.follow(), { once: true });
    setTimeout(() => this.follow(), FOLLOW_MS);
    outbox.start();
    this.draw();
  }

  /** End a login that was left with no network: who takes the phone next is not the one before. */
  async endLeft() {
    const left = localStorage.getItem(LEFT);
    if (!left) return;
    const gone = await endSession(left).catch((error) => error instanceof Refusal && error.status === 401);
    if (!this.phone) remember(null);
    if (gone) localStorage.removeItem(LEFT);
  }

  /** Only inspectors work here, and nobody without a place to keep things and a key to sign with. @param {string} why */
  refuse(why) {
    fill(this.main, h("h1", {}, t("nav.work")), h("p", { class: "notice bad", role: "alert" }, why), h("a", { class: "button", href: "/" }, t("app.home")));
  }

  logIn() {
    fill(this.status);
    fill(this.doors);
    fill(this.main, document.createElement("login-form"));
    this.follow();
  }

  /** The login is over: work goes on, sending waits. */
  offerLogin() {
    const again = h("button", { class: "primary", onclick: () => this.logIn() }, t("login.enter"));
    fill(this.news, h("div", { class: "notice work-news", role: "status" }, h("span", { class: "grow" }, t("work.login-again")), again));
    this.addEventListener("logged-in", () => fill(this.news), { once: true });
  }

  tellNews() {
    const again = h("button", { onclick: () => location.reload() }, t("work.reload"));
    fill(this.news, h("div", { class: "notice work-news", role: "status" }, h("span", { class: "grow" }, t("work.updated")), again));
  }

  draw() {
    if (!this.phone) return;
    const [, task = ""] = location.pathname.split("/").filter(Boolean);
    document.title = `Portwitness · ${t("work.title")}`;
    const name = decodeURIComponent(task);
    const shown = this.main.firstElementChild;
    if (name && shown instanceof TaskDesk && shown.task === name) {
      shown.route();
    } else fill(this.main, name ? new TaskDesk(this.phone, name) : this.page());
    this.drawDoors(name);
  }

  page() {
    const phone = /** @type {Phone} */ (this.phone);
    if (!["#safe", "#person"].includes(location.hash)) return new TaskCards(phone);
    const [place, address] = [h("div", {}), location.hash];
    const later = import("./other-views.js").then(({ PersonPage, UnsafeList }) => {
      if (this.phone !== phone) return;
      fill(place, address === "#safe" ? new UnsafeList(phone, "") : new PersonPage(phone, { leave: () => void this.leave(), redraw: () => this.redraw() }));
    });
    later.catch(() => fill(place, h("p", { class: "empty" }, t("work.view-not-here")), again()));
    return place;
  }

  /** @param {string} task */
  drawDoors(task) {
    const home = task ? `/work/${encodeURIComponent(task)}` : "/work";
    const views = task ? ["list", "missing", "files", "sign", "more"] : ["tasks", "safe", "person"];
    const here = location.hash.slice(1).split("/")[0] || views[0];
    const current = ["i", "s"].includes(here ?? "") ? "list" : here;
    this.doors.setAttribute("aria-label", t("nav.label"));
    fill(
      this.doors,
      ...views.map((view) => h("a", { href: view === "tasks" || view === "list" ? home : `${home}#${view}`, "aria-current": view === current ? "page" : null, "data-door": view }, h("span", { class: "door-sign", "aria-hidden": "true" }, SIGNS[view] ?? ""), h("span", {}, t(`work.door-${view}`)))),
    );
  }

  redraw() {
    fill(this.main);
    if (this.phone) fill(this.status, new PhoneStatus(this.phone));
    this.draw();
  }

  async leave() {
    localStorage.setItem(LEFT, whoami()?.person ?? "");
    this.phone?.outbox.stop();
    this.phone?.store.close();
    this.phone = null;
    localStorage.removeItem(PERSON);
    await this.endLeft();
    history.replaceState(null, "", "/work");
    this.logIn();
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.origin !== location.origin || !/^\/work(\/|$)/.test(link.pathname) || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    if (link.href !== location.href) history.pushState(null, "", link.href);
    this.draw();
    this.main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
}

/** @type {Record<string, string>} */
const SIGNS = { tasks: "▤", safe: "⇪", person: "☺", list: "☑", missing: "◔", files: "⇪", sign: "✍", more: "⋯" };

/** @param {string} person */
async function endSession(person) {
  const session = await call("GET", "session");
  if (session.person !== person) return true; // somebody else logged in meanwhile
  remember(session);
  await call("DELETE", "session");
  return true;
}

/** Hear when a newer page has been kept. @param {() => void} told */
function listenForNews(told) {
  const workers = navigator.serviceWorker;
  let kept = workers?.controller;
  workers?.addEventListener("controllerchange", () => {
    if (kept) told();
    kept = workers.controller;
  });
}

/** @type {any} */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy("portwitness-work", { createScriptURL: (/** @type {string} */ url) => url });

/** Have the browser keep the page; throws when it cannot now. */
async function keepShell() {
  await navigator.serviceWorker?.register(policy ? policy.createScriptURL(WORKER) : WORKER, { scope: "/work" });
}

customElements.define("work-app", WorkApp);
