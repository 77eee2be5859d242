// The frame around all pages: who is logged in, where one can go, the language, the light, and the line to the hub.
import { call, remember, whoami } from "./api.js";
import { changes, whenChanged } from "./changes.js";
import { homeOf, pageAt } from "./doors.js";
import { fill, h } from "./dom.js";
import { MainMenu } from "./main-menu.js";
import { clock, language, loadWords, t, zone } from "./words.js";

const FELT = ["alarm", "alarm acknowledged", "declaration", "task", "supervision", "credit", "lagging"]; // what changes a count beside a door

class PortWitness extends HTMLElement {
  constructor() {
    super();
    this.top = h("header", { class: "top" });
    this.menu = new MainMenu();
    this.offline = h("div", { class: "offline-bar hidden", role: "alert" });
    this.pin = document.createElement("log-pin");
    this.main = h("main", { tabindex: "-1", id: "main" });
    /** @type {Record<string, number>} */
    this.counts = {};
    this.wanted = 0;
  }

  connectedCallback() {
    this.addEventListener("click", (event) => this.onClick(event));
    this.addEventListener("logged-in", () => this.enter());
    window.addEventListener("popstate", () => void this.draw());
    window.addEventListener("session-ended", () => this.leave());
    changes.addEventListener("line", (event) => this.onLine(/** @type {CustomEvent<number | null>} */ (event).detail));
    whenChanged(FELT, () => this.countAll());
    void this.begin();
  }

  async begin() {
    setLight(localStorage.getItem("light") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    const [session] = await Promise.all([call("GET", "session").catch(() => null), loadWords()]);
    remember(session);
    if (whoami()) this.enter();
    else void this.draw();
  }

  enter() {
    if (["/", "/login"].includes(location.pathname)) history.replaceState(null, "", this.home());
    void this.draw().then(() => {
      if (!whoami()) return;
      changes.open(); // after what is looked at: a phone has few connections
      void this.countAll();
      void import("./log-pin.js");
    });
  }

  leave() {
    changes.close();
    remember(null);
    void this.draw();
  }

  home() {
    return homeOf(whoami()?.role ?? "");
  }

  /** @param {number | null} since */
  onLine(since) {
    this.classList.toggle("stale", since !== null);
    this.offline.classList.toggle("hidden", since === null);
    this.offline.textContent = since === null ? "" : t("app.offline", { time: clock(since) });
  }

  async countAll() {
    const answer = await call("GET", "badges").catch(() => null);
    if (!answer) return;
    this.counts = answer.counts;
    this.showMenu();
  }

  showMenu() {
    this.menu.show(whoami()?.role ?? "", location.pathname, this.counts);
  }

  async draw() {
    const skip = h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => this.skip(event) }, t("app.skip"));
    fill(this, skip, this.top, this.offline, this.pin, this.main);
    this.drawTop();
    document.title = `Portwitness · ${t("app.title")}`;
    if (whoami()) await this.open();
    else await this.put("login-form", () => import("./login-form.js"), {});
  }

  async open() {
    const found = pageAt(location.pathname, whoami()?.role ?? "");
    if (typeof found === "string") {
      this.wanted += 1;
      fill(this.main, h("div", { class: "empty" }, h("p", {}, t(`app.${found}`)), h("a", { class: "button primary", href: this.home() }, t("app.home"))));
      return;
    }
    document.title = `${t(found.door.word)} · Portwitness`;
    await this.put(found.view.element, found.view.load, found.view.attributes ?? {});
  }

  /** Load a page's module, then show it; whoever went on meanwhile is not called back. @param {string} element @param {() => Promise<unknown>} load @param {Record<string, string>} attributes */
  async put(element, load, attributes) {
    const wanted = (this.wanted += 1);
    if (!customElements.get(element)) fill(this.main, h("p", { class: "empty pulse", role: "status" }, t("app.loading")));
    try {
      await load();
      if (wanted !== this.wanted) return;
      const page = document.createElement(element);
      for (const [name, value] of Object.entries(attributes)) page.setAttribute(name, value);
      fill(this.main, page);
    } catch {
      if (wanted !== this.wanted) return;
      const again = h("button", { class: "primary", onclick: () => location.reload() }, t("app.again"));
      fill(this.main, h("div", { class: "empty", role: "alert" }, h("p", {}, t("app.not-loaded")), again));
    }
  }

  drawTop() {
    const person = whoami();
    const other = language() === "en" ? "zh-CN" : "en";
    const dark = document.documentElement.dataset["theme"] === "dark";
    this.showMenu();
    fill(
      this.top,
      h("a", { class: "brand", href: "/" }, h("img", { src: "/static/mark.svg", alt: "" }), h("span", {}, "Portwitness")),
      this.menu,
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
    void this.draw();
  }

  light() {
    setLight(document.documentElement.dataset["theme"] === "dark" ? "light" : "dark");
    localStorage.setItem("light", document.documentElement.dataset["theme"] ?? "light");
    void this.draw();
  }

  async logOut() {
    changes.close();
    fill(this.main); // what plays ends, and says so, while the login still counts
    const { viewsTold } = await import("./live-view.js");
    await viewsTold();
    await call("DELETE", "session").catch(() => null);
    history.replaceState(null, "", "/login");
    this.leave();
  }

  /** @param {Event} event */
  skip(event) {
    event.preventDefault();
    this.main.focus();
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (!link || link.origin !== location.origin || link.hasAttribute("download") || event.metaKey || event.ctrlKey || /^\/(api|work)(\/|$)/.test(link.pathname)) return;
    if (link.target || event.defaultPrevented) return;
    event.preventDefault();
    const there = link.pathname === "/" && whoami() ? this.home() : link.pathname + link.search;
    history.pushState(null, "", there);
    void this.draw();
    this.main.focus();
    scrollTo(0, 0);
  }
}

/** @param {string} light */
function setLight(light) {
  document.documentElement.dataset["theme"] = light;
}

customElements.define("port-witness", PortWitness);
