// Judge answers as the hub does (protocol/procedures/answers.py): what is a value, what stands, what is asked, what conflicts, what fails.
// Nothing is overwritten: two answers to one question both stand, and are a conflict while their values differ.
import { byCodePoints, canonical, hex, sha256 } from "./canonical.js";
import { holdsText, scaled } from "./conditions.js";
import { ATTACHED, conforming, itemsOf } from "./procedure.js";

/** @typedef {import("./procedure.js").Item} Item */
/** @typedef {import("./procedure.js").Section} Section */
/** @typedef {import("./procedure.js").Procedure} Procedure */
/** @typedef {{id: string, item: string, at: string, value: any, dwell_ms: number, phone_ms: number, replaces: string[], way: "asked" | "rest", by: string, device: string, reason?: string}} Answer */
/** @typedef {Map<string, Answer[]>} Standing by `placeOf(item, at)` */
/** @typedef {Record<string, string[]>} Parts */
/** @typedef {{section: Section, item: Item, at: string}} Question */

const MAX_TEXT = 4000;
const MAX_FILES = 200;
const HASH = /^[0-9a-f]{64}$/;
const DECIMAL = /^-?(0|[1-9]\d{0,14})(\.\d{1,6})?$/;
const DATE_TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:Z|[+-](\d\d):(\d\d))$/;
const PART = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,39}$/;
const BLANK = "[\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";
const LEADING = new RegExp(`^${BLANK}`);
const TRAILING = new RegExp(`${BLANK}$`);
const GPS = { latitude: 90_000_000, longitude: 180_000_000, accuracy_m: 1_000_000 };

/** Name a question. @param {string} item @param {string} at */
export function placeOf(item, at) {
  return `${item}\n${at}`;
}

/** Tell whether a name can be a part's: a container, a sample. @param {string} at */
export function isPart(at) {
  return PART.test(at);
}

/**
 * Give what is wrong with a value for an item, as a word of the locales; null when it answers it.
 * @param {Item} item @param {unknown} value @returns {string | null}
 */
export function faultOf(item, value) {
  if (ATTACHED.has(item.type)) return faultOfFiles(item, value);
  if (item.type === "number") return faultOfNumber(item, value);
  if (item.type === "choice") return item.options?.some((option) => option.key === value) ? null : "choice";
  if (item.type === "multi") return isMulti(item, value) ? null : "choice";
  if (item.type === "date-time") return isDateTime(value) ? null : "date-time";
  if (item.type === "gps") return isPlace(value) ? null : "gps";
  if (item.type === "signature") return isSignature(value) ? null : "signature";
  if (typeof value !== "string") return "text";
  if (item.type === "barcode") return strip(value) === value && value && lengthOf(value) <= 200 && !/[\u0000-\u001f]/.test(value) ? null : "code";
  return strip(value) && lengthOf(value) <= MAX_TEXT ? null : "text";
}

/** @param {Item} item @param {unknown} value */
function faultOfNumber(item, value) {
  if (typeof value !== "string" || !DECIMAL.test(value)) return "number";
  if ((value.split(".")[1] ?? "").length > (item.places ?? 0)) return "places";
  const number = scaled(value) ?? 0n;
  const [least, most] = [scaled(item.least), scaled(item.most)];
  return (least !== null && number < least) || (most !== null && number > most) ? "limits" : null;
}

/** @param {Item} item @param {unknown} value */
function isMulti(item, value) {
  if (!Array.isArray(value) || !value.length) return false;
  const known = new Set(item.options?.map((option) => option.key));
  return value.every((one, at) => known.has(one) && (at === 0 || byCodePoints(value[at - 1], one) < 0));
}

/** @param {Item} item @param {unknown} value */
function faultOfFiles(item, value) {
  if (!Array.isArray(value) || !value.length || !value.every((one) => typeof one === "string" && HASH.test(one))) return "files";
  return new Set(value).size === value.length && value.length <= Number(item.most ?? MAX_FILES) ? null : "files";
}

/** @param {unknown} value */
function isDateTime(value) {
  const match = typeof value === "string" ? DATE_TIME.exec(value) : null;
  if (!match) return false;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, ahead = 0, past = 0] = match.slice(1).map((one) => Number(one ?? 0));
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysOf(year, month)) return false;
  return hour < 24 && minute < 60 && second < 60 && ahead < 24 && past < 60;
}

/** @param {number} year @param {number} month */
function daysOf(year, month) {
  const leap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return month === 2 ? (leap ? 29 : 28) : [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** @param {unknown} value */
function isPlace(value) {
  if (!value || typeof value !== "object" || Object.keys(value).length !== 3) return false;
  const given = /** @type {Record<string, unknown>} */ (value);
  return Object.entries(GPS).every(([name, most]) => Number.isInteger(given[name]) && Math.abs(Number(given[name])) <= most) && Number(given["accuracy_m"]) >= 0;
}

/** @param {unknown} value */
function isSignature(value) {
  if (!value || typeof value !== "object") return false;
  const given = /** @type {Record<string, unknown>} */ (value);
  const names = Object.keys(given).sort().join();
  if (names === "refused") return isNamed(given["refused"]);
  return names === "drawn,name" && HASH.test(String(given["drawn"])) && isNamed(given["name"]);
}

/** @param {unknown} text */
function isNamed(text) {
  return typeof text === "string" && strip(text) !== "" && lengthOf(text) <= 500;
}

/** Characters as Python counts them. @param {string} text */
function lengthOf(text) {
  return [...text].length;
}

/** Cut blanks off as Python does. @param {string} text */
function strip(text) {
  return text.replace(LEADING, "").replace(TRAILING, "");
}

/** Give the answers that stand - replaced by none - by question. @param {Iterable<Answer>} answers @returns {Standing} */
export function standing(answers) {
  const all = [...answers];
  const places = new Map(all.map((answer) => [answer.id, placeOf(answer.item, answer.at)]));
  const gone = new Set(all.flatMap((answer) => answer.replaces.filter((old) => old !== answer.id && places.get(old) === placeOf(answer.item, answer.at))));
  /** @type {Standing} */
  const found = new Map();
  for (const answer of all.sort((one, other) => byCodePoints(one.id, other.id))) {
    if (gone.has(answer.id)) continue;
    const place = placeOf(answer.item, answer.at);
    found.set(place, [...(found.get(place) ?? []), answer]);
  }
  return found;
}

/** Tell whether answers that stand for one question differ. @param {Answer[]} answers */
export function inConflict(answers) {
  return new Set(answers.map((answer) => canonical(answer.value))).size > 1;
}

/** Give the parts that a section is asked for; one empty name where it is asked once. @param {Section} section @param {Standing} stands @param {Parts} parts */
export function instances(section, stands, parts) {
  if (!section.per) return [""];
  const keys = new Set(section.items.map((item) => item.key));
  const answered = [...stands.keys()].map((place) => place.split("\n")).filter(([item, at]) => keys.has(item ?? "") && at).map(([, at]) => at ?? "");
  return [...new Set([...(parts[section.per] ?? []), ...answered.sort(byCodePoints)])].slice(0, section.most ?? 1);
}

/** Give every question that is asked now, in order. @param {Procedure} procedure @param {Standing} stands @param {Parts} parts @returns {Question[]} */
export function asked(procedure, stands, parts) {
  /** @type {Question[]} */
  const found = [];
  /** @type {Map<string, unknown>} */
  const once = new Map();
  for (const section of procedure.sections) {
    for (const at of instances(section, stands, parts)) {
      const inner = section.per ? new Map(once) : once;
      for (const item of section.items) {
        if (item.when !== undefined && !holdsText(item.when, inner)) continue;
        found.push({ section, item, at });
        const given = stands.get(placeOf(item.key, at)) ?? [];
        if (given[0] && !inConflict(given)) inner.set(item.key, given[0].value);
      }
    }
  }
  return found;
}

/** Give the questions that "the rest conforms" would answer now. @param {Procedure} procedure @param {Standing} stands @param {Parts} parts */
export function rest(procedure, stands, parts) {
  return asked(procedure, stands, parts).filter(({ item, at }) => conforming(item) && !stands.has(placeOf(item.key, at)));
}

/** Give the hash that a signature binds: SHA-256 over the canonical list of [id, item, at, value] of what stands. @param {Iterable<Answer>} answers */
export async function digest(answers) {
  const rows = [...standing(answers).values()].flat().sort((one, other) => byCodePoints(one.id, other.id));
  return hex(await sha256(canonical(rows.map((one) => [one.id, one.item, one.at, one.value]))));
}

/** Tell whether an answer is a finding: an option that fails, a refused signature. @param {Procedure} procedure @param {Answer} answer */
export function isFailing(procedure, answer) {
  const item = itemsOf(procedure).get(answer.item)?.item;
  if (!item) return false;
  if (item.type === "signature") return "refused" in answer.value;
  const chosen = Array.isArray(answer.value) ? answer.value : [answer.value];
  return item.options?.some((option) => option.fails && chosen.includes(option.key)) ?? false;
}
