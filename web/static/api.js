// Speak to the hub's JSON API: one place for the session, the CSRF token, the language and the errors.
import { language, t, useZone } from "./words.js";

/** @typedef {{person: string, name: string, role: "supervisor" | "inspector" | "administrator" | "trader" | "partner", party: string | null, csrf: string, expires_ms: number, time_zone?: string}} Session */

/** An answer that is not a success, with the hub's own words. */
export class Refusal extends Error {
  /** @param {number} status @param {{kind: string, what: string, where: string, about?: string, faults?: {path: string, code: string, what: string}[]}} error */
  constructor(status, error) {
    super(sentence(error.what, error.about ?? ""));
    this.status = status;
    this.what = error.what;
    this.kind = error.kind;
    this.where = error.where;
    this.faults = error.faults ?? []; // all that is wrong in a form, where one was sent
  }
}

/** Join what is wrong and what it is about. @param {string} what @param {string} about */
function sentence(what, about) {
  if (!about) return what;
  return language() === "en" && /^(is|has|was|must) /.test(what) ? `${about} ${what}` : t("app.about", { about, what });
}

/** @type {Session | null} */
let session = null;

/** @returns {Session | null} */
export function whoami() {
  return session;
}

/** @param {Session | null} next */
export function remember(next) {
  session = next;
  if (next) useZone(next.time_zone ?? "");
}

/** @param {...string} roles */
export function mayBe(...roles) {
  return session !== null && roles.includes(session.role);
}

/**
 * Call the API and give its JSON (null for an empty answer); throw a Refusal otherwise.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function call(method, path, body) {
  const answer = await send(method, path, body === undefined ? undefined : JSON.stringify(body), "application/json");
  return answer.status === 204 ? null : answer.json();
}

/**
 * Send a request as the logged-in person.
 * @param {string} method
 * @param {string} path
 * @param {string | Blob} [body]
 * @param {string} [type]
 * @param {AbortSignal} [signal]
 */
export async function send(method, path, body, type = "application/json", signal = undefined) {
  /** @type {Record<string, string>} */
  const headers = { "Accept-Language": language() };
  if (body !== undefined) headers["Content-Type"] = type;
  if (method !== "GET" && session) headers["X-CSRF-Token"] = session.csrf;
  const answer = await fetch(`/api/v1/${path}`, { method, headers, body: body ?? null, signal: signal ?? null, credentials: "same-origin", keepalive: method === "DELETE" });
  if (answer.ok) return answer;
  const refusal = await refusalOf(answer);
  if (answer.status === 401 && refusal.where === "session" && session) dispatchEvent(new CustomEvent("session-ended"));
  throw refusal;
}

/** @param {Response} answer */
async function refusalOf(answer) {
  const text = await answer.text();
  try {
    return new Refusal(answer.status, JSON.parse(text).error);
  } catch {
    return new Refusal(answer.status, { kind: "unavailable", what: `HTTP ${answer.status}`, where: "" });
  }
}

/** Encode a name as one part of a path. @param {string | number} part */
export function part(part) {
  return encodeURIComponent(part);
}
