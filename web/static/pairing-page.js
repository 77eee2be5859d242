// The inspector's page, one hand at 360 px: my task, its code, choose a recorder, see its live picture.
import { call, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { confirmAct } from "./confirming.js";
import { component, fill, h } from "./dom.js";
import { LiveTile } from "./live-tile.js";
import { codeCard } from "./task-pairing.js";
import { clock, known, moment, t } from "./words.js";

/** @typedef {import("./task-list.js").Task} Task */
/** @typedef {import("./live-tile.js").StreamState} StreamState */

/** Attribute `task`: none shows the list of open tasks. */
export class PairingPage extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.head = h("div", { class: "page-head" });
    this.failure = h("p", { class: "notice bad hidden", role: "alert" });
    this.body = h("div", { class: "stack" }, h("p", { class: "empty pulse" }, t("app.loading")));
    this.code = h("section", { class: "card code-card" });
    this.paired = h("section", { class: "stack" });
    this.recorders = h("section", {});
    this.shown = "";
    /** @type {{code: string, expires_ms: number, qr_svg: string} | null} */
    this.held = null;
  }

  get task() {
    return this.getAttribute("task") ?? "";
  }

  connectedCallback() {
    this.classList.add("phone");
    this.style.display = "block";
    fill(this, this.head, this.failure, this.body);
    if (this.task) fill(this.body, this.paired, this.recorders, this.code);
    const unheard = whenChanged([], () => this.refresh());
    const poll = window.setInterval(() => void this.refresh(), 4000);
    this.stop = () => {
      unheard();
      clearInterval(poll);
    };
    void this.refresh();
  }

  disconnectedCallback() {
    this.stop();
  }

  async refresh() {
    try {
      if (this.task) await this.refreshTask();
      else this.drawTasks((await call("GET", "tasks?state=open")).tasks);
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {unknown} error */
  fail(error) {
    this.failure.textContent = error instanceof Error && error.name !== "TypeError" ? error.message : t("app.unreachable");
    this.failure.classList.remove("hidden");
  }

  /** @param {Task[]} tasks */
  drawTasks(tasks) {
    fill(this.head, h("h1", {}, t("pair.choose-task")));
    this.failure.classList.add("hidden");
    fill(
      this.body,
      tasks.length ? null : h("p", { class: "empty" }, t("tasks.empty-own")),
      ...tasks.map((task) =>
        h(
          "a",
          { class: "button choice", href: `/pair/${part(task.task)}` },
          h("span", {}, h("strong", {}, task.task), h("br"), task.title),
          h("span", { class: "soft small" }, task.bay ?? "", h("br"), t("pair.count", { count: task.paired.filter((bond) => bond.state === "paired").length })),
        ),
      ),
    );
  }

  async refreshTask() {
    const [task, streams] = await Promise.all([call("GET", `tasks/${part(this.task)}`), call("GET", "streams")]);
    this.failure.classList.add("hidden");
    fill(this.head, h("div", { class: "grow" }, h("h1", {}, task.task), h("div", { class: "soft" }, `${task.title} · ${task.bay ?? "—"} · ${moment(task.opened_ms)}`)), h("a", { class: "button", href: `/tasks/${part(task.task)}` }, t("pair.to-task")));
    this.drawPaired(task, streams.streams);
    this.drawRecorders(task, streams.streams);
    if (task.state === "open") await this.drawCode();
    else fill(this.code, h("p", {}, t("pair.ended")));
  }

  /** @param {Task} task @param {StreamState[]} streams */
  drawPaired(task, streams) {
    const bonds = task.paired.filter((bond) => bond.state === "paired" || bond.state === "pending");
    const signature = JSON.stringify(bonds.map((bond) => [bond.stream, bond.state, bond.ending]));
    if (signature !== this.shown) {
      if (bonds.some((bond) => bond.state === "paired" && !this.shown.includes(JSON.stringify([bond.stream, "paired"]).slice(0, -1)))) buzz();
      this.shown = signature;
      fill(
        this.paired,
        ...bonds.map((bond) =>
          h(
            "div",
            { class: "card stack" },
            h("div", { class: "row" }, h("strong", { class: "grow" }, bond.stream), h("span", { class: `badge ${bond.state === "paired" && !bond.ending ? "good" : "wait"}` }, h("i"), t(`bond.${bond.ending ? "ending" : bond.state}`)), bond.from_ms && h("span", { class: "soft small" }, clock(bond.from_ms))),
            bond.state === "paired" ? component(LiveTile, { stream: bond.stream }) : h("p", { class: "soft pulse" }, t("pair.waiting")),
            !bond.ending && h("button", { class: "danger", onclick: () => void this.free(bond.stream) }, t("pair.free")),
          ),
        ),
      );
    }
    for (const tile of this.paired.querySelectorAll("live-tile")) if (tile instanceof LiveTile) tile.show(streams.find((stream) => stream.stream === tile.stream) ?? null);
  }

  /** @param {Task} task @param {StreamState[]} streams */
  drawRecorders(task, streams) {
    const taken = new Set(task.paired.filter((bond) => bond.state === "paired" || bond.state === "pending").map((bond) => bond.stream));
    const free = streams.filter((stream) => stream.role === "recorder" && !taken.has(stream.stream));
    fill(
      this.recorders,
      h("h2", {}, t("pair.choose")),
      ...free.map((stream) =>
        h(
          "button",
          { class: "choice", disabled: task.state !== "open" || stream.task !== null, onclick: () => void this.pair(stream.stream) },
          h("span", {}, h("strong", {}, stream.source), " ", h("span", { class: "soft small" }, stream.box)),
          h("span", { class: `badge ${stream.state === "recording" ? "good" : "off"}` }, h("i"), stream.task ? t("pair.taken", { task: stream.task }) : known("source", stream.state)),
        ),
      ),
      !free.length && h("p", { class: "empty" }, t("pair.no-recorders")),
    );
  }

  async drawCode() {
    if (this.held && this.held.expires_ms > Date.now() + 5000) return;
    this.held = await call("GET", `tasks/${part(this.task)}/code`);
    if (this.held) fill(this.code, h("h2", {}, t("pair.code-title")), codeCard(this.held), h("p", { class: "soft small" }, t("pair.code-hint")));
  }

  /** @param {string} stream */
  async pair(stream) {
    try {
      await call("POST", `tasks/${part(this.task)}/pairings`, { stream });
      await this.refresh();
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {string} stream */
  async free(stream) {
    if (!(await confirmAct(t("pair.free"), t("pair.free-effect", { stream })))) return;
    const [box, source] = stream.split("/");
    try {
      await call("DELETE", `tasks/${part(this.task)}/pairings/${part(box ?? "")}/${part(source ?? "")}`);
      await this.refresh();
    } catch (error) {
      this.fail(error);
    }
  }
}

/** Let the hand feel that it is done, where the browser allows it. */
function buzz() {
  if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(200);
}

customElements.define("pairing-page", PairingPage);
