// Who works on this phone: language, light, what the phone keeps, its key, and the way out that says what is not yet safe.
import { confirmAct } from "../confirming.js";
import { fill, h } from "../dom.js";
import { bytes, language, loadWords, moment, t, zone } from "../words.js";
import { deviceKey } from "./acts.js";

/** @typedef {import("./app.js").Phone} Phone */

export class PersonPage extends HTMLElement {
  /** @param {Phone} [phone] @param {{leave: () => void, redraw: () => void}} [acts] */
  constructor(phone, acts) {
    super();
    this.phone = phone;
    this.acts = acts;
  }

  connectedCallback() {
    void this.draw();
  }

  async draw() {
    if (!this.phone) return;
    const { session, store, outbox } = this.phone;
    const key = await deviceKey(store);
    const told = await navigator.storage?.estimate?.();
    const kept = (await navigator.storage?.persisted?.()) ?? false;
    const other = language() === "en" ? "zh-CN" : "en";
    const dark = document.documentElement.dataset["theme"] === "dark";
    fill(
      this,
      h("div", { class: "page-head" }, h("h1", {}, session.name)),
      h(
        "div",
        { class: "card stack" },
        h(
          "dl",
          {},
          h("dt", {}, t("work.person")), h("dd", {}, session.person),
          h("dt", {}, t("work.key")), h("dd", {}, h("code", {}, key.key_id.slice(0, 16)), " ", key.registered ? t("work.key-until", { time: moment(key.until_ms) }) : t("work.key-waits")),
          h("dt", {}, t("work.storage")), h("dd", {}, told ? `${bytes(told.usage ?? 0)} / ${bytes(told.quota ?? 0)} · ${t(kept ? "work.storage-kept" : "work.storage-may-go")}` : "—"),
          h("dt", {}, t("work.clock")), h("dd", {}, outbox.ahead_ms === null ? t("work.clock-unknown") : `${outbox.ahead_ms > 0 ? "+" : ""}${(outbox.ahead_ms / 1000).toFixed(1)} s`, " · ", zone()),
        ),
        !kept && h("button", { onclick: () => void this.persist() }, t("work.persist")),
      ),
      h(
        "div",
        { class: "work-buttons" },
        h("button", { id: "language", lang: other, onclick: () => void this.speak(other) }, other === "en" ? "English" : "中文"),
        h("button", { onclick: () => this.light(dark) }, t(dark ? "app.light" : "app.dark")),
        h("a", { class: "button", href: "/tasks" }, t("work.desk-pages")),
        h("button", { class: "danger", onclick: () => void this.leave() }, t("login.leave")),
      ),
    );
  }

  async persist() {
    await navigator.storage?.persist?.();
    await this.draw();
  }

  /** @param {"zh-CN" | "en"} next */
  async speak(next) {
    await loadWords(next);
    this.acts?.redraw();
  }

  /** @param {boolean} dark */
  light(dark) {
    const next = dark ? "light" : "dark";
    document.documentElement.dataset["theme"] = next;
    localStorage.setItem("work-light", next);
    void this.draw();
  }

  async leave() {
    const acts = (await this.phone?.store.all("acts")) ?? [];
    const files = (await this.phone?.store.all("files")) ?? [];
    const left = acts.filter((/** @type {any} */ act) => act.mine && act.state === "waiting").length + files.filter((/** @type {any} */ file) => file.state === "phone").length;
    if (await confirmAct(t("login.leave"), left ? t("work.leave-unsent", { count: left }) : t("work.leave-effect"))) this.acts?.leave();
  }
}

customElements.define("person-page", PersonPage);
