// Pin the newest checkpoint of the port log in this browser, and refuse one that is not of the same log (RFC 9162 §2.1.4.2).
// The hub enrolled this browser, so its word counts for no quorum; but a hub that shows its people two logs is found out here.
import { fill, h } from "./dom.js";
import { t } from "./words.js";

const PIN = "portwitness.pin";
const REFUSED = "portwitness.refused";
const LOOK_MS = 60_000;
const MAX_PROOF = 64;

/** @typedef {{vkey: string, size: number, root: string, note: string}} Pin */
/** @typedef {{size: number, root: Uint8Array<ArrayBuffer>, note: string}} Head */

/** What is wrong with the log this hub shows; `reason` is a word of the locales. */
export class LogRefused extends Error {
  /** @param {string} reason @param {number} seen @param {number} shown */
  constructor(reason, seen, shown) {
    super(reason);
    this.reason = reason;
    this.seen = seen;
    this.shown = shown;
  }
}

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
function unbase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** @param {Uint8Array} bytes */
function base64(bytes) {
  return btoa(String.fromCharCode(...bytes));
}

/** @param {Uint8Array} one @param {Uint8Array} other */
function same(one, other) {
  return one.length === other.length && one.every((byte, at) => byte === other[at]);
}

/** @param {Uint8Array} left @param {Uint8Array} right */
async function nodeHash(left, right) {
  const joined = new Uint8Array(1 + left.length + right.length);
  joined[0] = 1;
  joined.set(left, 1);
  joined.set(right, 1 + left.length);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined));
}

/**
 * Tell whether the tree of `next` leaves extends that of `old`.
 * @param {number} old @param {Uint8Array} oldRoot @param {number} next @param {Uint8Array} nextRoot @param {Uint8Array[]} proof
 */
export async function extendsTree(old, oldRoot, next, nextRoot, proof) {
  if (old === next) return proof.length === 0 && same(oldRoot, nextRoot);
  if (old <= 0 || old > next || proof.length > MAX_PROOF) return false;
  const power = Number.isInteger(Math.log2(old));
  const [first, ...rest] = power ? [oldRoot, ...proof] : proof;
  if (!first || proof.length === 0) return false;
  let node = old - 1;
  let last = next - 1;
  while (node % 2 === 1) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  let [before, after] = [first, first];
  for (const sibling of rest) {
    if (last === 0) return false;
    if (node % 2 === 1 || node === last) {
      [before, after] = [await nodeHash(sibling, before), await nodeHash(sibling, after)];
      while (node % 2 === 0 && node !== 0) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
    } else {
      after = await nodeHash(after, sibling);
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 && same(before, oldRoot) && same(after, nextRoot);
}

/**
 * Read a checkpoint and check the log's signature (C2SP signed-note, Ed25519).
 * @param {string} note @param {string} vkey @returns {Promise<Head>}
 */
export async function readCheckpoint(note, vkey) {
  const [name = "", hash = "", key = ""] = splitKey(vkey);
  const cut = note.lastIndexOf("\n\n");
  const text = note.slice(0, cut + 1);
  const [origin = "", size = "", root = ""] = text.split("\n");
  const line = note.slice(cut + 2).split("\n").find((one) => one.startsWith(`— ${name} `) && signer(one) === hash);
  if (cut < 0 || origin !== name || !/^(0|[1-9][0-9]{0,15})$/.test(size) || !line) throw new LogRefused("unsigned", 0, 0);
  const raw = unbase64(key).slice(1);
  const verifier = await crypto.subtle.importKey("raw", raw, { name: "Ed25519" }, false, ["verify"]);
  const signature = unbase64(line.split(" ")[2] ?? "").slice(4);
  const held = await crypto.subtle.verify({ name: "Ed25519" }, verifier, signature, new TextEncoder().encode(text));
  if (!held) throw new LogRefused("unsigned", 0, Number(size));
  return { size: Number(size), root: unbase64(root), note };
}

/** @param {string} vkey */
function splitKey(vkey) {
  const first = vkey.indexOf("+");
  const second = vkey.indexOf("+", first + 1);
  return [vkey.slice(0, first), vkey.slice(first + 1, second), vkey.slice(second + 1)];
}

/** @param {string} line */
function signer(line) {
  const bytes = unbase64(line.split(" ")[2] ?? "").slice(0, 4);
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} path */
async function text(path) {
  const answer = await fetch(`/api/v1/log/${path}`, { cache: "no-store" });
  return answer.ok ? await answer.text() : null;
}

/** @returns {Pin | null} */
function pinned() {
  const kept = localStorage.getItem(PIN);
  return kept ? JSON.parse(kept) : null;
}

/**
 * Look at the log this hub shows: pin its newest checkpoint, or throw LogRefused. Gives the pinned size; null when nothing is published
 * yet, when the hub does not answer, or when this browser cannot check.
 */
export async function look() {
  if (!globalThis.crypto?.subtle) return null;
  const [vkey, note] = await Promise.all([text("vkey"), text("checkpoint")]);
  if (!vkey || !note) return null;
  return (await admit(vkey, note)).size;
}

/**
 * Check a checkpoint of this log against the pin, and pin it when it is newer; throw LogRefused when it is none of the pinned log.
 * @param {string} vkey @param {string} note @returns {Promise<Head>}
 */
export async function admit(vkey, note) {
  const pin = pinned();
  if (pin && pin.vkey !== vkey.trim()) throw new LogRefused("key", pin.size, 0);
  const head = await readCheckpoint(note, vkey.trim());
  if (pin) await compare(pin, head);
  if (!pin || head.size >= pin.size) {
    localStorage.setItem(PIN, JSON.stringify({ vkey: vkey.trim(), size: head.size, root: base64(head.root), note }));
  }
  return head;
}

/** @param {Pin} pin @param {Head} head */
async function compare(pin, head) {
  const root = unbase64(pin.root);
  const [old, next] = [Math.min(pin.size, head.size), Math.max(pin.size, head.size)];
  const lines = old === next || old === 0 ? "" : await text(`consistency/${old}/${next}`);
  if (lines === null) throw new LogRefused(head.size < pin.size ? "behind" : "unproven", pin.size, head.size);
  const proof = lines.split("\n").filter(Boolean).map(unbase64);
  const [oldRoot, nextRoot] = pin.size <= head.size ? [root, head.root] : [head.root, root];
  if (old > 0 && !(await extendsTree(old, oldRoot, next, nextRoot, proof))) {
    localStorage.setItem(REFUSED, JSON.stringify({ pinned: pin.note, shown: head.note }));
    throw new LogRefused("forked", pin.size, head.size);
  }
}

/** The alarm: nothing while the log is one log. */
class LogPin extends HTMLElement {
  constructor() {
    super();
    this.timer = 0;
  }

  connectedCallback() {
    this.setAttribute("role", "alert");
    void this.check();
    this.timer = window.setInterval(() => void this.check(), LOOK_MS);
  }

  disconnectedCallback() {
    window.clearInterval(this.timer);
  }

  async check() {
    try {
      await look();
      fill(this);
    } catch (error) {
      if (!(error instanceof LogRefused)) return; // no line, or no Ed25519 in this browser: nothing is known, nothing is claimed
      const words = t(`pin.${error.reason}`, { seen: error.seen, shown: error.shown });
      fill(this, h("p", { class: "notice bad" }, h("strong", {}, t("pin.title")), " ", words));
    }
  }
}

customElements.define("log-pin", LogPin);
