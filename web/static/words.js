// Speak the reader's language: zh-CN first, English complete. Numbers and times are written one way everywhere.

/** @type {Record<string, string>} */
let words = {};
/** @type {"zh-CN" | "en"} */
let current = "zh-CN";

/** @returns {"zh-CN" | "en"} */
export function language() {
  return current;
}

/** The language kept from last time, else the browser's. @returns {"zh-CN" | "en"} */
function wanted() {
  const asked = new URLSearchParams(location.search).get("lang") ?? localStorage.getItem("language");
  if (asked === "en" || asked === "zh-CN") return asked;
  return navigator.language.toLowerCase().startsWith("en") ? "en" : "zh-CN";
}

/** Load a language and keep it. @param {"zh-CN" | "en"} [asked] */
export async function loadWords(asked = wanted()) {
  const answer = await fetch(`/static/locales/${asked}.json`);
  words = await answer.json();
  current = asked;
  localStorage.setItem("language", asked);
  document.documentElement.lang = asked;
}

/**
 * Give the words for a key, with `{name}` places filled.
 * @param {string} key
 * @param {Record<string, string | number>} [places]
 */
export function t(key, places = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in places ? String(places[name]) : whole));
}

/** Give the words for a key if there are any, else the text itself. @param {string} group @param {string} text */
export function known(group, text) {
  return words[`${group}.${text}`] ?? text;
}

/** Names in a row, as the language separates them. @param {string[]} names */
export function several(names) {
  return names.join(t("app.comma"));
}

/** Somebody's name where it is known, else their login. @param {Record<string, string>} names @param {string} login */
export function named(names, login) {
  return names[login] ?? login;
}

/** @param {number} value @param {number} [digits] */
function padded(value, digits = 2) {
  return String(value).padStart(digits, "0");
}

/** The site's zone; undefined: the reader's own. @type {string | undefined} */
let siteZone;
/** @type {Intl.DateTimeFormat | null} */
let dates = null;

/** Show all times in a site's zone from now on; one that this browser does not know leaves its own. @param {string} name */
export function useZone(name) {
  dates = null;
  siteZone = undefined;
  if (!name) return;
  try {
    siteZone = new Intl.DateTimeFormat("en-GB", { timeZone: name }).resolvedOptions().timeZone;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
}

/**
 * An instant as the site's wall shows it: `[year, month, day, hours, minutes, seconds, milliseconds]`, as texts.
 * @param {number} ms
 * @returns {[string, string, string, string, string, string, string]}
 */
export function wall(ms) {
  if (siteZone === undefined) return ownWall(new Date(ms)); // making a format takes a slow phone 60 ms
  dates ??= new Intl.DateTimeFormat("en-GB", { timeZone: siteZone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
  /** @type {Record<string, string>} */
  const parts = Object.fromEntries(dates.formatToParts(ms).map((part) => [part.type, part.value]));
  const named = ["year", "month", "day", "hour", "minute", "second", "fractionalSecond"].map((name) => parts[name] ?? "");
  return /** @type {[string, string, string, string, string, string, string]} */ (named);
}

/** @param {Date} at @returns {[string, string, string, string, string, string, string]} */
function ownWall(at) {
  const days = /** @type {const} */ ([padded(at.getFullYear(), 4), padded(at.getMonth() + 1), padded(at.getDate())]);
  return [...days, padded(at.getHours()), padded(at.getMinutes()), padded(at.getSeconds()), padded(at.getMilliseconds(), 3)];
}

/** What a field for date and time shows for an instant. @param {number} ms */
export function localText(ms) {
  const [year, month, day, hours, minutes, seconds] = wall(ms);
  return `${year}-${month}-${day}T${hours}:${minutes}:${seconds}`;
}

/** The instant that a field for date and time names, in the site's zone; NaN for none. @param {string} text */
export function localInstant(text) {
  const asked = Date.parse(`${text}Z`);
  if (Number.isNaN(asked)) return NaN;
  let found = asked;
  for (let round = 0; round < 2; round += 1) found += asked - Date.parse(`${localText(found)}Z`); // twice: the first may lie across a change
  return found;
}

/** 24 hours with seconds. @param {number | null | undefined} ms @param {boolean} [fraction] */
export function clock(ms, fraction = false) {
  if (ms === null || ms === undefined) return "—";
  const [, , , hours, minutes, seconds, part] = wall(ms);
  return `${hours}:${minutes}:${seconds}${fraction ? `.${part}` : ""}`;
}

/** Date and time. @param {number | null | undefined} ms */
export function moment(ms) {
  if (ms === null || ms === undefined) return "—";
  const [year, month, day] = wall(ms);
  return `${year}-${month}-${day} ${clock(ms)}`;
}

/** The zone, named once on a page. */
export function zone() {
  const now = Math.floor(Date.now() / 1000) * 1000;
  const minutes = Math.round((Date.parse(`${localText(now)}Z`) - now) / 60000);
  const name = siteZone ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
  return `${name} (UTC${minutes < 0 ? "-" : "+"}${padded(Math.floor(Math.abs(minutes) / 60))}:${padded(Math.abs(minutes) % 60)})`;
}

/** A stretch of time. @param {number} ms */
export function stretch(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const rest = `${padded(Math.floor((whole % 3600) / 60))}:${padded(whole % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}

/** @param {number} bytes */
export function bytes(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const power = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** power).toFixed(power > 1 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}
