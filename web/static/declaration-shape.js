// What a declaration's form is made of: its sections, fields and lists, by the paths that the hub names faults by.

/** @typedef {{path: string, kind?: "text" | "date" | "choice" | "yes" | "list" | "numbers" | "whole" | "long", choices?: string[], must?: boolean, hint?: string, fixed?: boolean}} Field */
/** @typedef {{name: string, fields: Field[]}} Section */
/** @typedef {{name: "goods" | "containers" | "permits" | "attachments", must?: boolean, fields: Field[]}} Lines */

/** @type {Section[]} */
export const SECTIONS = [
  {
    name: "what",
    fields: [
      { path: "reference", must: true, hint: "SO-2026-001" },
      { path: "trade", kind: "choice", choices: ["import", "export", "transit"], must: true },
      { path: "enterprise", must: true },
      { path: "contract" },
      { path: "destination", must: true },
      { path: "purpose" },
    ],
  },
  {
    name: "parties",
    fields: [
      { path: "consignor.name", must: true },
      { path: "consignor.country", must: true, hint: "TH" },
      { path: "consignor.code" },
      { path: "consignor.address" },
      { path: "consignee.name", must: true },
      { path: "consignee.country", must: true, hint: "CN" },
      { path: "consignee.code" },
      { path: "consignee.address" },
    ],
  },
  {
    name: "voyage",
    fields: [
      { path: "voyage.vessel", must: true },
      { path: "voyage.imo", must: true, hint: "9074729" },
      { path: "voyage.voyage", must: true, hint: "055N" },
      { path: "voyage.loading", must: true, hint: "THLCH" },
      { path: "voyage.discharge", must: true, hint: "CNDLC" },
      { path: "voyage.arrival", kind: "date", must: true },
      { path: "bill", must: true, hint: "OOLU2712345678" },
    ],
  },
];

/** @type {Lines[]} */
export const LISTS = [
  {
    name: "containers",
    fields: [
      { path: "number", must: true, hint: "CSQU3054383" },
      { path: "type", hint: "45R1" },
      { path: "seals", kind: "list" },
      { path: "reefer", kind: "yes" },
    ],
  },
  {
    name: "goods",
    must: true,
    fields: [
      { path: "line", kind: "whole", must: true },
      { path: "hs", must: true, hint: "0810600000" },
      { path: "name", must: true },
      { path: "origin", must: true, hint: "TH" },
      { path: "weight_kg", must: true, hint: "18432.5" },
      { path: "packages", kind: "whole", must: true },
      { path: "package_kind", must: true, hint: "CT" },
      { path: "quantity", must: true },
      { path: "unit", must: true, hint: "KGM" },
      { path: "value" },
      { path: "currency", hint: "USD" },
      { path: "containers", kind: "list" },
      { path: "producer" },
      { path: "model" },
      { path: "wood_packaging", kind: "yes" },
      { path: "waste", kind: "yes" },
    ],
  },
  {
    name: "permits",
    fields: [
      { path: "kind", kind: "choice", choices: ["quarantine permit", "phytosanitary", "veterinary", "sanitary", "origin", "import licence", "other"], must: true },
      { path: "number", must: true },
      { path: "issued", kind: "date", must: true },
      { path: "expires", kind: "date" },
      { path: "issuer" },
      { path: "lines", kind: "numbers", hint: "1, 2" },
    ],
  },
];

/** The words' key of a field, wherever it stands. @param {string} path */
export function wordOf(path) {
  const plain = path.replace(/\[\d+\]/g, "");
  return `form.${plain}`;
}

/** @param {any} value @param {string} path */
export function read(value, path) {
  return path.split(".").reduce((found, name) => (found === null || found === undefined ? undefined : found[name]), value);
}

/** @param {any} value @param {string} path @param {unknown} next undefined takes the field away */
export function write(value, path, next) {
  const names = path.split(".");
  const last = names.pop() ?? "";
  let at = value;
  for (const name of names) at = at[name] ??= {};
  if (next === undefined) delete at[last];
  else at[last] = next;
}

/** What somebody typed, as the hub reads it; nothing typed is nothing said. @param {Field} field @param {string} text @returns {unknown} */
export function typed(field, text) {
  const trimmed = text.trim();
  if (field.kind === "list") return parts(trimmed);
  if (field.kind === "numbers") return parts(trimmed).map(whole);
  if (!trimmed) return undefined;
  return field.kind === "whole" ? whole(trimmed) : trimmed;
}

/** @param {Field} field @param {any} value */
export function shown(field, value) {
  if (Array.isArray(value)) return value.join(", ");
  return value === undefined || value === null ? "" : String(value);
}

/** @param {string} text */
function parts(text) {
  return text.split(/[\s,，、;；]+/).filter(Boolean);
}

/** @param {string} text */
function whole(text) {
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
}

/**
 * A form as flat paths and values, to be compared.
 * @param {any} value
 * @param {string} [path]
 * @returns {[string, string][]}
 */
export function flat(value, path = "") {
  if (value === null || value === undefined || value === "" || value === false) return [];
  if (Array.isArray(value)) return value.flatMap((one, at) => flat(one, `${path}[${at}]`));
  if (typeof value === "object") return Object.entries(value).flatMap(([name, one]) => flat(one, path ? `${path}.${name}` : name));
  return [[path, String(value)]];
}

/**
 * What differs between two versions: path, before, after.
 * @param {any} before
 * @param {any} after
 * @returns {[string, string, string][]}
 */
export function differences(before, after) {
  const [old, now] = [new Map(flat(before)), new Map(flat(after))];
  const paths = [...new Set([...old.keys(), ...now.keys()])];
  return paths.filter((path) => old.get(path) !== now.get(path)).map((path) => [path, old.get(path) ?? "", now.get(path) ?? ""]);
}
