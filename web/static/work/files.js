// Photographs, films, sound, drawn signatures: kept on the phone by their hash with the answer they belong to; sent in parts, manifest
// first, from where the hub has them, also after the browser was killed in the middle.
import { call, send } from "../api.js";
import { t } from "../words.js";
import { hashOf } from "./hashing.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").KeptFile} KeptFile */
/** @typedef {import("./store.js").Shelf} Shelf */
/** @typedef {"photo" | "audio" | "video" | "signature" | "document"} FileKind */

export const PART_BYTES = 512 * 1024;
const MAX_NAME = 200;

/**
 * Keep a file on the phone; `settles` writes what it belongs to in the same transaction. The same bytes are kept once.
 * @param {Store} store @param {{task: string, item: string, at: string, kind: FileKind, blob: Blob, name: string}} given
 * @param {Shelf[]} [shelves] @param {(of: (shelf: Shelf) => IDBObjectStore, sha256: string) => void} [settles]
 * @returns {Promise<string>} its SHA-256. Throws for a file of no bytes: the hub takes none
 */
export async function keepFile(store, given, shelves = [], settles = () => {}) {
  if (given.blob.size === 0) throw new Error(t("work.empty-file"));
  const sha256 = await hashOf(given.blob);
  const known = await store.get("files", sha256);
  const { task, item, at, kind, blob } = given;
  /** @type {KeptFile} */
  const made = { sha256, task, blob, size: blob.size, name: given.name.slice(0, MAX_NAME) || kind, kind, item, at, made_ms: Date.now(), state: "phone", have: 0, why: "" };
  await store.write(["files", ...shelves], (of) => {
    if (!known) of("files").put(made);
    settles(of, sha256);
  });
  return sha256;
}

/** Say to the hub what a file will be; it says how much of it is there. @param {Store} store @param {KeptFile} file */
export async function announce(store, file) {
  const about = `task ${file.task}${file.item ? ` ${file.item}` : ""}${file.at ? ` ${file.at}` : ""}`.slice(0, 200);
  await take(store, file, await call("POST", "files", { sha256: file.sha256, size: file.size, name: file.name, kind: file.kind, about }));
}

/**
 * Send what the hub does not have of a file, part by part.
 * @param {Store} store @param {KeptFile} file @param {AbortSignal} signal
 */
export async function sendParts(store, file, signal) {
  let have = file.have;
  while (file.blob && have < file.size) {
    const part = file.blob.slice(have, have + PART_BYTES);
    const answer = await (await send("PUT", `files/${file.sha256}?offset=${have}`, part, "application/octet-stream", signal)).json();
    await take(store, file, answer);
    if (answer.state === "stored") return;
    if (answer.have_bytes === have) throw new TypeError("nothing was taken"); // tried again later, with a pause
    have = answer.have_bytes;
  }
  if (file.state === "phone") await take(store, file, await call("GET", `files/${file.sha256}`));
}

/** @param {Store} store @param {KeptFile} file @param {{state: string, have_bytes: number}} answer */
async function take(store, file, answer) {
  const stored = answer.state === "stored" || answer.state === "disposed";
  await store.change("files", file.sha256, (/** @type {KeptFile} */ now) => ({
    have: answer.have_bytes,
    state: stored && now.state === "phone" ? "hub" : now.state,
    why: "",
  }));
}
