// Verify in the phone that an act stands in the port's log: the log's record is of this very act - its id, key and number, and the sheet
// that it binds holds the text that was signed here - the record is a leaf under a checkpoint that the log signed, and that checkpoint
// belongs to the log that this browser pinned. Only then is an act, and what it names, green.
import { admit } from "../log-pin.js";
import { hex, sha256, unbase64 } from "./canonical.js";
import { readRecord, RecordError } from "./record.js";

/** @typedef {import("./store.js").KeptAct} KeptAct */
/** @typedef {{index: number, record: string, salt: string | null, sheet: string | null, path: string[], checkpoint: string}} Proof */

const LEAF = 0;
const NODE = 1;
const SHEET = new TextEncoder().encode("portwitness/sheet/v1\0");
const WORK = { act: 1, id: 2, key: 3, seq: 4, sheet: 5 };

/** What the hub gave proves nothing. */
export class ReceiptError extends Error {}

/**
 * Check a proof for an act; throw ReceiptError or LogRefused.
 * @param {Proof} proof @param {KeptAct} act @param {string} vkey
 */
export async function checkReceipt(proof, act, vkey) {
  const record = unbase64(proof.record);
  await checkRecord(record, proof, act);
  const head = await admit(vkey, proof.checkpoint);
  const root = await rootOf(await hashed(LEAF, record), proof.index, head.size, proof.path.map(unbase64));
  if (hex(root) !== hex(head.root)) throw new ReceiptError("path");
}

/** @param {Uint8Array<ArrayBuffer>} record @param {Proof} proof @param {KeptAct} act */
async function checkRecord(record, proof, act) {
  if (proof.salt === null || proof.sheet === null) throw new ReceiptError("sheet");
  const sheet = unbase64(proof.sheet);
  const commitment = await sha256(joined(SHEET, unbase64(proof.salt), sheet));
  const said = JSON.parse(new TextDecoder().decode(sheet));
  try {
    const { kind, subject, body } = readRecord(record);
    const found = [kind, subject, body.get(WORK.act), hexOf(body.get(WORK.id)), hexOf(body.get(WORK.key)), body.get(WORK.seq), hexOf(body.get(WORK.sheet)), said.act];
    const wanted = ["work", act.task, act.kind, act.id, act.key, act.seq, hex(commitment), act.text];
    if (found.some((one, at) => one !== wanted[at])) throw new ReceiptError("record");
  } catch (error) {
    if (error instanceof RecordError) throw new ReceiptError("record");
    throw error;
  }
}

/** @param {unknown} bytes */
function hexOf(bytes) {
  return bytes instanceof Uint8Array ? hex(bytes) : "";
}

/**
 * Walk an audit path (RFC 9162, 2.1.3.2).
 * @param {Uint8Array<ArrayBuffer>} leaf @param {number} index @param {number} size @param {Uint8Array<ArrayBuffer>[]} path
 */
export async function rootOf(leaf, index, size, path) {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) throw new ReceiptError("index");
  let [node, last, found] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) throw new ReceiptError("path");
    if (node % 2 === 1 || node === last) {
      found = await hashed(NODE, sibling, found);
      while (node % 2 === 0 && node !== 0) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
    } else found = await hashed(NODE, found, sibling);
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  if (last !== 0) throw new ReceiptError("path");
  return found;
}

/** @param {number} mark @param {...Uint8Array<ArrayBuffer>} parts */
async function hashed(mark, ...parts) {
  return sha256(joined(Uint8Array.of(mark), ...parts));
}

/** @param {...Uint8Array<ArrayBuffer>} parts @returns {Uint8Array<ArrayBuffer>} */
function joined(...parts) {
  const found = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    found.set(part, at);
    at += part.length;
  }
  return found;
}
