// The recorders of a task: who is paired since when, pair another, free one, pair late with a second person.
import { call, mayBe, part } from "./api.js";
import { confirmAct, sayNo } from "./confirming.js";
import { fill, h, values } from "./dom.js";
import { clock, known, localInstant, localText, named, t } from "./words.js";

/** @typedef {import("./task-list.js").Task} Task */
/** @typedef {import("./task-list.js").Bond} Bond */

/** Dispatches `changed` after an order. */
export class TaskPairing extends HTMLElement {
  constructor() {
    super();
    /** @type {Task | null} */
    this.task = null;
    this.list = h("ul");
    this.failure = h("p", { class: "notice bad hidden", role: "alert" });
    this.acts = h("div", { class: "row" });
  }

  connectedCallback() {
    this.classList.add("card", "stack");
    this.style.display = "block";
    fill(this, h("h2", {}, t("task.recorders")), this.list, this.failure, this.acts);
  }

  /** @param {Task} task */
  show(task) {
    this.task = task;
    const bonds = task.paired;
    fill(this.list, ...(bonds.length ? bonds.map((bond) => this.bond(bond)) : [h("li", { class: "soft" }, t("pair.none"))]));
    const may = task.state === "open" && mayBe("supervisor", "inspector");
    fill(
      this.acts,
      may && h("button", { class: "primary", onclick: () => void this.choose(false) }, t("pair.pair")),
      may && h("button", { onclick: () => void this.choose(true) }, t("pair.late")),
      may && h("button", { onclick: () => void this.showCode() }, t("pair.code")),
    );
  }

  /** @param {Bond} bond */
  bond(bond) {
    const state = bond.state === "paired" && bond.ending ? "ending" : bond.state;
    const kind = { pending: "wait", ending: "wait", paired: "good", unpaired: "off", refused: "bad" }[state] ?? "off";
    const names = this.task?.names ?? {};
    const byCode = !bond.late_from_ms && bond.reason;
    const since = bond.from_ms ? `${clock(bond.from_ms)}${bond.to_ms ? ` – ${clock(bond.to_ms)}` : ""}` : clock(bond.ordered_ms);
    const late = bond.late_from_ms && t("pair.late-note", { time: clock(bond.late_from_ms), second: named(names, bond.second ?? ""), reason: bond.reason ?? "" });
    const free = this.task?.state === "open" && state === "paired" && mayBe("supervisor", "inspector");
    return h(
      "li",
      { class: "list-item" },
      h("div", { class: "grow" }, h("strong", {}, bond.stream), h("div", { class: "soft small" }, `${since} · ${byCode ? t("pair.by-code", { who: named(names, bond.by) }) : named(names, bond.by)}`), late && h("div", { class: "badge warn long" }, h("i"), late), bond.detail && h("div", { class: "small" }, bond.detail)),
      h("span", { class: `badge ${kind}` }, h("i"), t(`bond.${state}`)),
      free && h("button", { onclick: () => void this.free(bond.stream) }, t("pair.free")),
    );
  }

  /** @param {string} stream */
  async free(stream) {
    if (!(await confirmAct(t("pair.free"), t("pair.free-effect", { stream })))) return;
    const [box, source] = stream.split("/");
    await this.order(() => call("DELETE", `tasks/${part(this.task?.task ?? "")}/pairings/${part(box ?? "")}/${part(source ?? "")}`));
  }

  /** @param {() => Promise<unknown>} act */
  async order(act) {
    this.failure.classList.add("hidden");
    try {
      await act();
      this.dispatchEvent(new CustomEvent("changed", { bubbles: true }));
    } catch (error) {
      this.failure.textContent = error instanceof Error ? error.message : "";
      this.failure.classList.remove("hidden");
    }
  }

  async showCode() {
    await this.order(async () => {
      const answer = await call("GET", `tasks/${part(this.task?.task ?? "")}/code`);
      const dialog = h("dialog", { class: "code stack" }, h("h2", {}, t("pair.code-only")), codeCard(answer), h("p", { class: "soft small" }, t("pair.code-hint")), h("button", { onclick: () => dialog.close() }, t("app.close")));
      dialog.addEventListener("close", () => dialog.remove());
      document.body.append(dialog);
      dialog.showModal();
    });
  }

  /** @param {boolean} late */
  async choose(late) {
    const answer = await call("GET", "streams");
    const held = new Set((this.task?.paired ?? []).filter((bond) => bond.state === "paired" || bond.state === "pending").map((bond) => bond.stream));
    const recorders = answer.streams.filter((/** @type {{role: string, stream: string}} */ stream) => stream.role === "recorder" && !held.has(stream.stream));
    if (!recorders.length) return sayNo(t(late ? "pair.late" : "pair.pair"), new Error(t(held.size ? "pair.all-paired" : "pair.no-recorders")));
    const dialog = h("dialog");
    const failure = h("p", { class: "notice bad hidden", role: "alert" });
    const form = h(
      "form",
      {
        class: "stack",
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          try {
            await call("POST", `tasks/${part(this.task?.task ?? "")}/pairings`, readPairing(form, late));
            dialog.close();
            this.dispatchEvent(new CustomEvent("changed", { bubbles: true }));
          } catch (error) {
            failure.textContent = error instanceof Error ? error.message : "";
            failure.classList.remove("hidden");
          }
        },
      },
      h("h2", {}, t(late ? "pair.late" : "pair.pair")),
      h("p", { class: "soft" }, t(late ? "pair.late-effect" : "pair.effect")),
      h("label", {}, h("span", {}, t("pair.recorder")), h("select", { name: "stream", required: true }, ...recorders.map((/** @type {{stream: string, state: string}} */ stream) => h("option", { value: stream.stream }, `${stream.stream} · ${known("source", stream.state)}`)))),
      ...(late ? this.lateFields() : []),
      failure,
      h("div", { class: "row" }, h("button", { class: "primary" }, t("pair.order")), h("button", { type: "button", onclick: () => dialog.close() }, t("app.cancel"))),
    );
    dialog.append(form);
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  lateFields() {
    const local = localText(this.task?.opened_ms ?? 0);
    return [
      h("label", {}, h("span", {}, t("pair.late-from")), h("input", { name: "late_from", type: "datetime-local", step: "1", required: true, value: local })),
      h("label", {}, h("span", {}, t("pair.reason")), h("textarea", { name: "reason", required: true, maxlength: "400", rows: "2" })),
      h("label", {}, h("span", {}, t("pair.second")), h("input", { name: "second", required: true, autocomplete: "off" })),
      h("label", {}, h("span", {}, t("pair.second-password")), h("input", { name: "second_password", type: "password", required: true, autocomplete: "off" })),
    ];
  }
}

/** @param {HTMLFormElement} form @param {boolean} late */
function readPairing(form, late) {
  const given = values(form);
  if (!late) return { stream: given["stream"] };
  return {
    stream: given["stream"],
    late_from_ms: localInstant(given["late_from"] ?? ""),
    second: given["second"],
    second_password: given["second_password"],
    reason: given["reason"],
  };
}

/** A task's code with its QR. @param {{code: string, expires_ms: number, qr_svg: string}} answer */
export function codeCard(answer) {
  const picture = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(answer.qr_svg)}`;
  return h("div", { class: "code-card" }, h("img", { class: "qr", src: picture, alt: t("pair.qr") }), h("div", { class: "big-code mono" }, answer.code), h("div", { class: "soft" }, t("pair.until", { time: clock(answer.expires_ms) })));
}

customElements.define("task-pairing", TaskPairing);
