// Read what a record of the log says: canonical CBOR in a COSE_Sign1 (docs/reference/records.md). Only what a receipt needs is read; that
// the record is the log's own is told by its place in the log, not by its signature.

/** @typedef {number | string | boolean | null | Uint8Array<ArrayBuffer> | unknown[] | Map<unknown, unknown>} Value */
/** @typedef {{kind: string, subject: string, body: Map<unknown, unknown>}} Logged */

const MAX_DEPTH = 12;
const FIELDS = { kind: 2, subject: 7, body: 12 };

/** Bytes that are no record. */
export class RecordError extends Error {}

/** @param {Uint8Array<ArrayBuffer>} data @returns {Logged} */
export function readRecord(data) {
  const envelope = read(data);
  const payload = Array.isArray(envelope) && envelope.length === 4 ? envelope[2] : null;
  const fields = payload instanceof Uint8Array ? read(/** @type {Uint8Array<ArrayBuffer>} */ (payload)) : null;
  if (!(fields instanceof Map)) throw new RecordError("record");
  const [kind, subject, body] = [fields.get(FIELDS.kind), fields.get(FIELDS.subject), fields.get(FIELDS.body)];
  if (typeof kind !== "string" || typeof subject !== "string" || !(body instanceof Map)) throw new RecordError("fields");
  return { kind, subject, body };
}

/** @param {Uint8Array<ArrayBuffer>} data @returns {Value} */
function read(data) {
  const reader = new Reader(data);
  const found = reader.item(0);
  if (reader.at !== data.length) throw new RecordError("more bytes");
  return found;
}

class Reader {
  /** @param {Uint8Array<ArrayBuffer>} data */
  constructor(data) {
    this.data = data;
    this.view = new DataView(data.buffer, data.byteOffset, data.length);
    this.at = 0;
  }

  /** @param {number} depth @returns {Value} */
  item(depth) {
    if (depth > MAX_DEPTH || this.at >= this.data.length) throw new RecordError("shape");
    const first = this.data[this.at] ?? 0;
    this.at += 1;
    const [major, argument] = [first >> 5, this.argument(first & 31)];
    if (major === 0) return argument;
    if (major === 1) return -1 - argument;
    if (major === 6) return this.item(depth + 1);
    if (major === 7) return { 20: false, 21: true }[argument] ?? null;
    if (argument > this.data.length - this.at) throw new RecordError("length");
    if (major === 2 || major === 3) return this.bytes(argument, major === 3);
    if (major === 4) return Array.from({ length: argument }, () => this.item(depth + 1));
    return new Map(Array.from({ length: argument }, () => /** @type {[unknown, unknown]} */ ([this.item(depth + 1), this.item(depth + 1)])));
  }

  /** @param {number} low */
  argument(low) {
    if (low < 24) return low;
    const width = { 24: 1, 25: 2, 26: 4, 27: 8 }[low];
    if (!width || this.at + width > this.data.length) throw new RecordError("head");
    const at = this.at;
    this.at += width;
    if (width === 8) return Number(this.view.getBigUint64(at));
    return width === 1 ? this.view.getUint8(at) : width === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  /** @param {number} length @param {boolean} isText */
  bytes(length, isText) {
    const found = this.data.slice(this.at, this.at + length);
    this.at += length;
    return isText ? new TextDecoder("utf-8", { fatal: true }).decode(found) : found;
  }
}
