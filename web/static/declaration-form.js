// Write a declaration or a new version of one: all faults at once beside their fields, a draft kept here so that nothing is lost.
import { call, part, Refusal, send, whoami } from "./api.js";
import { AttachedFiles } from "./attached-files.js";
import { LISTS, read, SECTIONS, shown, typed, wordOf, write } from "./declaration-shape.js";
import { fill, h } from "./dom.js";
import { known, moment, t } from "./words.js";

/** @typedef {import("./declaration-shape.js").Field} Field */
/** @typedef {import("./declaration-shape.js").Lines} Lines */
/** @typedef {{path: string, code: string, what: string}} Fault */
/** @typedef {{form: any, after: number | null, reason: string, saved_ms: number}} Draft */

const LINES_SHOWN = 40; // of a list at once; a declaration may have thousands

/** Attributes `number` (of the declaration to amend; without it a new one). */
export class DeclarationForm extends HTMLElement {
  constructor() {
    super();
    /** @type {Draft} */
    this.draft = { form: {}, after: null, reason: "", saved_ms: 0 };
    /** @type {Fault[]} */
    this.faults = [];
    /** @type {Map<string, HTMLElement>} */
    this.fields = new Map();
    /** @type {Map<string, HTMLElement>} */
    this.lists = new Map();
    /** @type {Map<string, number>} */
    this.shown = new Map();
    this.said = h("div", { class: "notice hidden", role: "alert", tabindex: "-1" });
    this.kept = h("p", { class: "soft small", role: "status" });
  }

  get number() {
    return this.getAttribute("number") ?? "";
  }

  get key() {
    return `declaration-draft:${whoami()?.person ?? ""}:${this.number || "new"}`;
  }

  connectedCallback() {
    this.classList.add("stack");
    this.style.display = "block";
    fill(this, h("p", { class: "empty pulse" }, t("app.loading")));
    void this.begin();
  }

  async begin() {
    try {
      const fresh = await this.fresh();
      const kept = localStorage.getItem(this.key);
      this.draft = kept ? JSON.parse(kept) : fresh;
      this.draw();
      if (kept) this.tellKept(fresh);
    } catch (error) {
      fill(this, h("p", { class: "notice bad", role: "alert" }, error instanceof Error ? error.message : ""), h("a", { href: "/declarations" }, t("nav.declarations")));
    }
  }

  /** @returns {Promise<Draft>} */
  async fresh() {
    if (!this.number) {
      const form = { trade: "import", enterprise: whoami()?.party ?? undefined, consignor: {}, consignee: {}, voyage: {}, containers: [], goods: [{ line: 1 }], permits: [], attachments: [] };
      return { form, after: null, reason: "", saved_ms: 0 };
    }
    const answer = await call("GET", `declarations/${part(this.number)}/form`);
    return { form: answer.form, after: answer.version, reason: "", saved_ms: 0 };
  }

  /** @param {Draft} fresh */
  tellKept(fresh) {
    const old = this.number && this.draft.after !== fresh.after;
    const discard = h("button", {
      type: "button",
      onclick: () => {
        localStorage.removeItem(this.key);
        this.draft = fresh;
        this.faults = [];
        this.draw();
      },
    }, t("form.discard"));
    this.said.className = `notice ${old ? "bad" : ""}`;
    fill(this.said, h("p", {}, t("form.draft-found", { time: moment(this.draft.saved_ms) }), " ", old && t("form.draft-old", { version: String(fresh.after) })), discard);
  }

  keep() {
    this.draft.saved_ms = Date.now();
    try {
      localStorage.setItem(this.key, JSON.stringify(this.draft));
      this.kept.textContent = t("form.kept", { time: moment(this.draft.saved_ms) });
    } catch {
      this.kept.textContent = t("form.not-kept");
    }
  }

  draw() {
    this.fields.clear();
    this.said.className = "notice hidden";
    const party = whoami()?.party;
    const sections = SECTIONS.map((section) => h("fieldset", { class: "card" }, h("legend", {}, t(`form.section-${section.name}`)), h("div", { class: "fields" }, ...section.fields.map((field) => this.field(field, "", this.draft.form, field.path === "enterprise" && Boolean(party))))));
    const lists = LISTS.map((list) => {
      const box = h("fieldset", { class: "card stack", "data-list": list.name });
      this.lists.set(list.name, box);
      this.drawList(list);
      return box;
    });
    const remarks = this.field({ path: "remarks", kind: "long" }, "", this.draft.form);
    const files = new AttachedFiles();
    files.show(this.draft.form.attachments ??= [], () => this.keep());
    const reason = h("input", { name: "reason", required: true, maxlength: "1000", value: this.draft.reason, oninput: () => ((this.draft.reason = reason.value), this.keep()) });
    const form = h(
      "form",
      {
        class: "stack declaration",
        novalidate: true,
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          void this.lodge(submit);
        },
      },
      ...sections,
      ...lists,
      files,
      h("fieldset", { class: "card" }, h("legend", {}, t("form.section-rest")), remarks),
      this.number && h("label", { class: "card" }, h("span", {}, t("form.reason")), reason),
      h("div", { class: "row sticky-acts" }, h("button", { type: "button", onclick: () => void this.check() }, t("form.check")), h("button", { class: "primary" }, t(this.number ? "form.amend" : "form.lodge")), this.kept),
    );
    const submit = /** @type {HTMLButtonElement} */ (form.querySelector("button.primary"));
    const back = this.number ? `/declarations/${this.number}` : "/declarations";
    fill(this, h("div", { class: "page-head" }, h("h1", {}, this.number ? t("form.amending", { number: this.number }) : t("declaration.new")), h("a", { class: "button", href: back }, t("form.back"))), h("p", { class: "soft" }, t(this.number ? "form.about-amending" : "form.about"), h("span", { class: "keys" }, " ", t("form.keys"))), this.said, form);
    this.markAll();
  }

  /** @param {Lines} list */
  drawList(list) {
    const box = this.lists.get(list.name);
    if (!box) return;
    const lines = (this.draft.form[list.name] ??= []);
    const first = Math.min(this.shown.get(list.name) ?? 0, Math.max(0, lines.length - 1));
    for (const path of [...this.fields.keys()]) if (path.startsWith(`${list.name}[`)) this.fields.delete(path);
    const turn = (/** @type {number} */ to) => {
      this.shown.set(list.name, Math.max(0, to));
      this.drawList(list);
      this.markAll();
    };
    const many = lines.length > LINES_SHOWN && h("div", { class: "row" }, h("button", { type: "button", disabled: first === 0, onclick: () => turn(first - LINES_SHOWN) }, t("draw.before")), h("span", { class: "soft" }, t("draw.shown", { from: first + 1, to: Math.min(first + LINES_SHOWN, lines.length), total: lines.length })), h("button", { type: "button", disabled: first + LINES_SHOWN >= lines.length, onclick: () => turn(first + LINES_SHOWN) }, t("draw.after")));
    const rows = lines.slice(first, first + LINES_SHOWN).map((/** @type {any} */ line, /** @type {number} */ at) => this.line(list, line, first + at));
    const add = h("button", { type: "button", class: "add-line", onclick: () => this.add(list, lines.length) }, t(`form.add-${list.name}`));
    const whole = this.faultSlot(list.name);
    fill(box, h("legend", {}, t(`form.section-${list.name}`)), whole, many, ...rows, add);
  }

  /** @param {Lines} list @param {any} line @param {number} at */
  line(list, line, at) {
    const onkeydown = (/** @type {KeyboardEvent} */ event) => {
      if (!event.altKey || !["Enter", "Delete"].includes(event.key)) return;
      event.preventDefault();
      if (event.key === "Enter") this.add(list, at + 1);
      else this.drop(list, at);
    };
    const title = `${t(`form.one-${list.name}`)} ${at + 1}`;
    const remove = h("button", { type: "button", class: "quiet danger", "aria-label": t("form.remove", { what: title }), onclick: () => this.drop(list, at) }, t("form.remove-short"));
    return h("div", { class: "line", role: "group", "aria-label": title, "data-line": `${list.name}[${at}]`, onkeydown }, h("div", { class: "row" }, h("strong", { class: "grow" }, title), remove), h("div", { class: "fields" }, ...list.fields.map((field) => this.field(field, `${list.name}[${at}].`, line))));
  }

  /** @param {Lines} list @param {number} at */
  add(list, at) {
    const lines = this.draft.form[list.name];
    const next = Math.max(0, ...lines.map((/** @type {any} */ line) => Number(line.line) || 0)) + 1;
    lines.splice(at, 0, list.name === "goods" ? { line: next } : {});
    this.goOn(list, at);
  }

  /** @param {Lines} list @param {number} at */
  drop(list, at) {
    this.draft.form[list.name].splice(at, 1);
    this.goOn(list, at - 1);
  }

  /** Draw a list anew and go to a line of it. @param {Lines} list @param {number} at */
  goOn(list, at) {
    this.faults = this.faults.filter((fault) => !fault.path.startsWith(`${list.name}[`)); // their numbers no longer fit
    this.keep();
    this.shown.set(list.name, Math.floor(Math.max(0, at) / LINES_SHOWN) * LINES_SHOWN);
    this.drawList(list);
    this.markAll();
    const box = this.lists.get(list.name);
    const wanted = at < 0 ? ".add-line" : `[data-line="${list.name}[${at}]"] input, [data-line="${list.name}[${at}]"] select`;
    /** @type {HTMLElement | null | undefined} */ (box?.querySelector(wanted))?.focus();
  }

  /** @param {Field} field @param {string} prefix @param {any} holder @param {boolean} [fixed] */
  field(field, prefix, holder, fixed = false) {
    const path = prefix + field.path;
    const value = read(holder, field.path);
    const word = t(wordOf(path));
    const common = { id: `field:${path}`, "aria-describedby": `fault:${path}`, "aria-required": field.must ? "true" : null, readonly: fixed };
    const set = (/** @type {unknown} */ next) => {
      write(holder, field.path, next);
      this.clear(path);
      this.keep();
    };
    /** @type {HTMLElement} */
    let control;
    if (field.kind === "yes") {
      const box = h("input", { ...common, type: "checkbox", checked: value === true, onchange: () => set(box.checked) });
      control = box;
    } else if (field.kind === "choice") {
      const choice = h("select", { ...common, onchange: () => set(choice.value || undefined) }, h("option", { value: "" }, t("form.choose")), ...(field.choices ?? []).map((one) => h("option", { value: one, selected: one === value }, known("choice", one))));
      control = choice;
    } else if (field.kind === "long") {
      const area = h("textarea", { ...common, rows: "3", maxlength: "2000", oninput: () => set(area.value) });
      area.value = shown(field, value);
      control = area;
    } else {
      const input = h("input", { ...common, type: field.kind === "date" ? "date" : "text", value: shown(field, value), placeholder: field.hint ?? null, spellcheck: "false", autocapitalize: "none", inputmode: field.kind === "whole" ? "numeric" : null, oninput: () => set(typed(field, input.value)) });
      control = input;
    }
    this.fields.set(path, control);
    return h("div", { class: `field ${field.kind === "yes" ? "yes" : ""}` }, h("label", { for: `field:${path}` }, h("span", {}, word, field.must && h("span", { class: "must", "aria-hidden": "true" }, " *"))), control, this.faultSlot(path));
  }

  /** @param {string} path */
  faultSlot(path) {
    return h("p", { class: "fault hidden", id: `fault:${path}` });
  }

  /** @param {string} path */
  fault(path) {
    return this.faults.filter((one) => this.placeOf(one.path) === path);
  }

  /** The field that a fault belongs to: the fault's own path, or the nearest field around it. @param {string} path */
  placeOf(path) {
    for (let at = path; at; at = at.replace(/(\.[^.[]+|\[\d+\])$/, "")) {
      if (this.fields.has(at) || this.lists.has(at)) return at;
      if (!/[.[]/.test(at)) return at;
    }
    return path;
  }

  /** @param {string} path */
  clear(path) {
    if (!this.faults.some((one) => this.placeOf(one.path) === path)) return;
    this.faults = this.faults.filter((one) => this.placeOf(one.path) !== path);
    this.mark(path);
  }

  /** @param {string} path */
  mark(path) {
    const found = this.fault(path);
    const slot = this.querySelector(`[id="fault:${CSS.escape(path)}"]`) ?? document.getElementById(`fault:${path}`);
    if (slot) {
      slot.classList.toggle("hidden", found.length === 0);
      slot.textContent = found.map((one) => one.what).join("; ");
    }
    this.fields.get(path)?.setAttribute("aria-invalid", String(found.length > 0));
  }

  markAll() {
    for (const path of [...this.fields.keys(), ...this.lists.keys()]) this.mark(path);
  }

  /** @param {Fault[]} faults */
  tell(faults) {
    this.faults = faults;
    this.markAll();
    if (!faults.length) return;
    const items = faults.slice(0, 30).map((fault) => h("li", {}, h("button", { type: "button", class: "quiet link", onclick: () => this.goTo(fault.path) }, `${this.nameOf(fault.path)}: ${fault.what}`)));
    this.said.className = "notice bad";
    fill(this.said, h("strong", {}, t("form.faults", { count: faults.length })), h("ul", { class: "fault-list" }, ...items), faults.length > 30 && h("p", {}, t("form.more-faults", { count: faults.length - 30 })));
    this.said.focus();
  }

  /** @param {string} path */
  nameOf(path) {
    const [, list, at, rest] = /^(\w+)\[(\d+)\](.*)$/.exec(path) ?? [];
    if (!list || !at) return known("form", path);
    const field = (rest ?? "").replace(/^\./, "").replace(/\[\d+\]/g, "");
    return `${t(`form.one-${list}`)} ${Number(at) + 1}${field ? ` · ${known("form", `${list}.${field}`)}` : ""}`;
  }

  /** @param {string} path */
  goTo(path) {
    const [, name, at] = /^(\w+)\[(\d+)\]/.exec(path) ?? [];
    const list = LISTS.find((one) => one.name === name);
    if (list && at && !this.fields.has(this.placeOf(path))) {
      this.shown.set(list.name, Math.floor(Number(at) / LINES_SHOWN) * LINES_SHOWN);
      this.drawList(list);
      this.markAll();
    }
    const place = this.placeOf(path);
    const target = this.fields.get(place) ?? this.lists.get(place)?.querySelector("button") ?? this.querySelector("attached-files");
    target?.scrollIntoView({ block: "center" });
    /** @type {HTMLElement | null | undefined} */ (target)?.focus();
  }

  async check() {
    try {
      const query = this.number ? `?number=${part(this.number)}` : "";
      const answer = await call("POST", `declarations/check${query}`, this.draft.form);
      this.tell(answer.faults);
      if (!answer.faults.length) this.say("good", t("form.sound"));
    } catch (error) {
      this.refuse(error);
    }
  }

  /** @param {HTMLButtonElement} button */
  async lodge(button) {
    button.disabled = true;
    try {
      const { form, reason, after } = this.draft;
      const answer = this.number ? await call("POST", `declarations/${part(this.number)}/amendments`, { form, reason, after }) : await (await send("POST", "declarations", JSON.stringify(form))).json();
      localStorage.removeItem(this.key);
      history.pushState(null, "", `/declarations/${answer.number}`);
      dispatchEvent(new PopStateEvent("popstate"));
    } catch (error) {
      this.refuse(error);
    } finally {
      button.disabled = false;
    }
  }

  /** @param {unknown} error */
  refuse(error) {
    if (error instanceof Refusal && error.faults.length) this.tell(error.faults);
    else this.say("bad", error instanceof Refusal ? error.message : t("form.unreachable"));
  }

  /** @param {"good" | "bad"} how @param {string} text */
  say(how, text) {
    this.said.className = `notice ${how}`;
    fill(this.said, text);
    this.said.focus();
  }
}

customElements.define("declaration-form", DeclarationForm);
