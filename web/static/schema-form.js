// A form made from a JSON schema, as the hub describes an entry of reference data: one field for each member, faults beside them.
import { h } from "./dom.js";
import { known, t } from "./words.js";

/** @typedef {Record<string, any>} Schema */
/** @typedef {{kind: "choice" | "choices" | "yes" | "whole" | "text" | "long" | "lines" | "pairs" | "objects", choices: string[], names: string[], optional: boolean}} Shape */

/** What a member is, of all that a schema may say. @param {Schema} member @param {Schema} whole @returns {Shape} */
export function shapeOf(member, whole) {
  const options = /** @type {Schema[]} */ (member["anyOf"] ?? [member]);
  const optional = options.some((one) => one["type"] === "null") || "default" in member;
  const plain = resolve(options.find((one) => one["type"] !== "null") ?? {}, whole);
  const shape = { choices: plain["enum"] ?? (plain["const"] ? [plain["const"]] : []), names: [], optional };
  if (plain["type"] === "array") return { ...shape, ...arrayOf(resolve(plain["items"] ?? {}, whole)) };
  if (shape.choices.length) return { ...shape, kind: "choice" };
  if (plain["type"] === "boolean") return { ...shape, kind: "yes" };
  if (plain["type"] === "integer") return { ...shape, kind: "whole" };
  return { ...shape, kind: (plain["maxLength"] ?? 0) >= 1000 ? "long" : "text" };
}

/** @param {Schema} item @returns {{kind: Shape["kind"], choices: string[], names: string[]}} */
function arrayOf(item) {
  if (item["prefixItems"]) return { kind: "pairs", choices: [], names: [] };
  if (item["properties"]) return { kind: "objects", choices: [], names: Object.keys(item["properties"]) };
  const choices = item["enum"] ?? (item["const"] ? [item["const"]] : []);
  return { kind: choices.length ? "choices" : "lines", choices, names: [] };
}

/** @param {Schema} member @param {Schema} whole @returns {Schema} */
function resolve(member, whole) {
  const name = /^#\/\$defs\/(\w+)$/.exec(member["$ref"] ?? "")?.[1];
  return name ? whole["$defs"][name] : member;
}

/** @param {Shape} shape @param {any} value */
function written(shape, value) {
  if (value === null || value === undefined) return "";
  if (shape.kind === "pairs") return value.map((/** @type {string[]} */ pair) => pair.join(" ")).join("\n");
  if (shape.kind === "objects") return value.map((/** @type {any} */ one) => shape.names.map((name) => one[name]).join(" ")).join("\n");
  if (shape.kind === "lines") return value.join("\n");
  return String(value);
}

/** @param {Shape} shape @param {string} text @returns {any} */
function understood(shape, text) {
  const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
  if (shape.kind === "pairs") return lines.map((line) => line.split(/\s+/));
  if (shape.kind === "objects") return lines.map((line) => Object.fromEntries(shape.names.map((name, at) => [name, at === shape.names.length - 1 ? line.split(/\s+/).slice(at).join(" ") : line.split(/\s+/)[at]])));
  if (shape.kind === "lines") return lines;
  const trimmed = text.trim();
  if (!trimmed) return undefined;
  return shape.kind === "whole" && /^-?\d{1,15}$/.test(trimmed) ? Number(trimmed) : trimmed;
}

/** A form of one entry. Read it with `value()`, show faults with `tell(faults)`. */
export class SchemaForm extends HTMLElement {
  /** @param {Schema} schema @param {any} value */
  show(schema, value) {
    this.schema = schema;
    /** @type {Map<string, () => any>} */
    this.readers = new Map();
    const required = /** @type {string[]} */ (schema["required"] ?? []);
    this.replaceChildren(h("div", { class: "fields" }, ...Object.entries(schema["properties"] ?? {}).map(([name, member]) => this.member(name, member, value?.[name], required.includes(name)))));
  }

  /** @param {string} name @param {Schema} member @param {any} value @param {boolean} must */
  member(name, member, value, must) {
    const shape = shapeOf(member, this.schema ?? {});
    const common = { id: `field:${name}`, "aria-describedby": `fault:${name}`, "aria-required": must ? "true" : null };
    const word = h("span", {}, known("entry", name), must && h("span", { class: "must", "aria-hidden": "true" }, " *"));
    const slot = h("p", { class: "fault hidden", id: `fault:${name}` });
    if (shape.kind === "choices") {
      const boxes = shape.choices.map((one) => h("input", { type: "checkbox", value: one, checked: (value ?? []).includes(one) }));
      this.readers?.set(name, () => boxes.filter((box) => box.checked).map((box) => box.value));
      return h("fieldset", { class: "field", ...common, tabindex: "-1" }, h("legend", { class: "soft small" }, word), h("div", { class: "row" }, ...boxes.map((box) => h("label", { class: "row" }, box, known("choice", box.value)))), slot);
    }
    const control = this.control(shape, common, value ?? member["default"]);
    this.readers?.set(name, () => (control instanceof HTMLInputElement && control.type === "checkbox" ? control.checked : understood(shape, control.value)));
    const hint = shape.kind === "pairs" || shape.kind === "objects" ? h("p", { class: "soft small" }, t(shape.kind === "pairs" ? "entry.hint-pairs" : "entry.hint-objects", { names: shape.names.map((one) => known("entry", one)).join(" ") })) : null;
    return h("div", { class: `field ${shape.kind === "yes" ? "yes" : ""} ${["lines", "pairs", "objects", "long"].includes(shape.kind) ? "wide" : ""}` }, h("label", { for: `field:${name}` }, word), control, hint, slot);
  }

  /** @param {Shape} shape @param {Record<string, unknown>} common @param {any} value */
  control(shape, common, value) {
    if (shape.kind === "yes") return h("input", { ...common, type: "checkbox", checked: value === true });
    if (shape.kind === "choice") return h("select", common, h("option", { value: "" }, t("form.choose")), ...shape.choices.map((one) => h("option", { value: one, selected: one === value }, known("choice", one))));
    if (shape.kind === "text" || shape.kind === "whole") return h("input", { ...common, type: "text", inputmode: shape.kind === "whole" ? "numeric" : null, value: written(shape, value), spellcheck: "false" });
    const area = h("textarea", { ...common, rows: "3" });
    area.value = written(shape, value);
    return area;
  }

  /** @returns {Record<string, any>} */
  value() {
    const found = [...(this.readers ?? [])].map(([name, read]) => [name, read()]).filter(([, value]) => value !== undefined);
    return Object.fromEntries(found);
  }

  /** Show faults beside their fields; give those that have none. @param {{path: string, what: string}[]} faults */
  tell(faults) {
    const names = [...(this.readers ?? new Map()).keys()];
    const of = (/** @type {string} */ path) => names.find((name) => path === name || path.startsWith(`${name}[`) || path.startsWith(`${name}.`));
    for (const name of names) {
      const mine = faults.filter((fault) => of(fault.path) === name);
      const slot = document.getElementById(`fault:${name}`);
      slot?.classList.toggle("hidden", mine.length === 0);
      if (slot) slot.textContent = mine.map((fault) => fault.what).join("; ");
      document.getElementById(`field:${name}`)?.setAttribute("aria-invalid", String(mine.length > 0));
    }
    const first = faults.map((fault) => of(fault.path)).find(Boolean);
    if (first) document.getElementById(`field:${first}`)?.focus();
    return faults.filter((fault) => !of(fault.path));
  }
}

customElements.define("schema-form", SchemaForm);
