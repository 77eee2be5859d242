// Signed acts: each is written, chained to the one before it on this phone and signed at the moment it is done, with or without a network.
// The device's key is made here and cannot be taken out of the browser; two tabs never write one number twice.
import { base64, freshId, hex, sha256 } from "./canonical.js";

/** @typedef {import("./answers.js").Answer} Answer */
/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").KeptAct} KeptAct */
/** @typedef {import("./store.js").Shelf} Shelf */
/** @typedef {{pair: CryptoKeyPair, spki: string, key_id: string, registered: boolean, since_ms: number, until_ms: number}} DeviceKey */
/** @typedef {{seq: number, previous: string}} Chain */

export const KINDS = ["answers", "rest", "signature", "pause", "resume", "hand-over", "step", "note", "swap"];
const CURVE = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };

/** Give this phone's key for this person; make it the first time. @param {Store} store @returns {Promise<DeviceKey>} */
export async function deviceKey(store) {
  return alone(store, async () => {
    const kept = await store.get("facts", "key");
    if (kept) return kept;
    const pair = await crypto.subtle.generateKey(CURVE, false, ["sign", "verify"]);
    const spki = new Uint8Array(await crypto.subtle.exportKey("spki", pair.publicKey));
    const made = { pair, spki: base64(spki), key_id: hex(await sha256(spki)), registered: false, since_ms: 0, until_ms: 0 };
    await store.put("facts", made, "key");
    return made;
  });
}

/**
 * Do an act: sign it and keep it, together with what it settles (`settles` writes to `shelves` in the same transaction).
 * @param {Store} store @param {{task: string, procedure: string, kind: string, payload: Record<string, unknown>}} act
 * @param {Shelf[]} [shelves] @param {(of: (shelf: Shelf) => IDBObjectStore) => void} [settles]
 * @returns {Promise<KeptAct>}
 */
export async function doAct(store, act, shelves = [], settles = () => {}) {
  const key = await deviceKey(store);
  return alone(store, async () => {
    /** @type {Chain} */
    const chain = (await store.get("facts", "chain")) ?? { seq: 0, previous: "" };
    const [id, seq, phone_ms] = [freshId(), chain.seq + 1, Date.now()];
    const text = JSON.stringify({ id, task: act.task, procedure: act.procedure, kind: act.kind, phone_ms, seq, previous: chain.previous, payload: act.payload });
    const signature = base64(new Uint8Array(await crypto.subtle.sign(SIGNING, key.pair.privateKey, new TextEncoder().encode(text))));
    const next = { seq, previous: hex(await sha256(text)) };
    /** @type {KeptAct} */
    const kept = {
      id, task: act.task, kind: act.kind, text, signature, key: key.key_id, seq, mine: true, by: store.person, device: key.key_id,
      made_ms: phone_ms, at_ms: null, position: null, state: "waiting", why: "",
    };
    await store.write(["acts", "facts", ...shelves], (of) => {
      of("acts").put(kept);
      of("facts").put(next, "chain");
      settles(of);
    });
    return kept;
  });
}

/** One at a time, in all tabs. @template T @param {Store} store @param {() => Promise<T>} work @returns {Promise<T>} */
function alone(store, work) {
  return navigator.locks.request(`portwitness-acts/${store.person}`, work);
}

/** @type {Map<string, Answer[]>} */
const read = new Map();

/** Give the answers of an act; none of an act that was refused or says something else. @param {KeptAct} act @returns {Answer[]} */
export function answersOf(act) {
  if (act.state === "refused" || (act.kind !== "answers" && act.kind !== "rest")) return [];
  let found = read.get(act.id);
  if (!found) {
    found = payloadOf(act).answers.map((/** @type {any} */ one, /** @type {number} */ at) => ({
      id: `${act.id}/${at}`, item: one.item, at: one.at ?? "", value: one.value, dwell_ms: one.dwell_ms, phone_ms: one.phone_ms,
      replaces: one.replaces ?? [], way: act.kind === "rest" ? "rest" : "asked", by: act.by, device: act.device, reason: one.reason,
    }));
    read.set(act.id, found ?? []);
  }
  return found ?? [];
}

/** @param {KeptAct} act @returns {any} */
export function payloadOf(act) {
  return JSON.parse(act.text).payload;
}
