// Verify in the phone that an act stands in the port's log: its record holds the act's hash, the record is a leaf under a checkpoint that
// the log signed, and that checkpoint belongs to the log that this browser pinned. Only then is an act, and what it names, green.
import { admit } from "../log-pin.js";
import { hex, sha256, unbase64 } from "./canonical.js";

/** @typedef {{index: number, record: string, path: string[], checkpoint: string}} Proof */

const LEAF = 0;
const NODE = 1;

/** What the hub gave proves nothing. */
export class ReceiptError extends Error {}

/**
 * Check a proof for an act's text; throw ReceiptError or LogRefused.
 * @param {Proof} proof @param {string} actText @param {string} vkey
 */
export async function checkReceipt(proof, actText, vkey) {
  const record = unbase64(proof.record);
  if (!holdsBytes(record, await sha256(actText))) throw new ReceiptError("record");
  const head = await admit(vkey, proof.checkpoint);
  const root = await rootOf(await hashed(LEAF, record), proof.index, head.size, proof.path.map(unbase64));
  if (hex(root) !== hex(head.root)) throw new ReceiptError("path");
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
  return sha256(Uint8Array.from([mark, ...parts.flatMap((part) => [...part])]));
}

/** @param {Uint8Array} bytes @param {Uint8Array} wanted */
function holdsBytes(bytes, wanted) {
  for (let at = 0; at + wanted.length <= bytes.length; at += 1) if (wanted.every((byte, offset) => bytes[at + offset] === byte)) return true;
  return false;
}
