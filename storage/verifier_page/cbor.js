// Canonical CBOR (RFC 8949 section 4.2.1, keys length-first): null, booleans, 64-bit integers, bytes, text, arrays, maps; one spelling
// only. Integers become BigInt, but keys that are integers become numbers; maps become Map.

import { Fault, fromUtf8, need } from "./bytes.js";

const WHERE = "cbor";
const MAX_DEPTH = 12;

export function decodeCbor(data, limit = 65536) {
  need(data.length <= limit, WHERE, `${data.length} bytes, at most ${limit} allowed`, `${data.length} 字节,超过上限 ${limit}`);
  const reader = { data, at: 0, view: new DataView(data.buffer, data.byteOffset, data.length) };
  const value = readItem(reader, 0);
  need(reader.at === data.length, WHERE, "bytes follow the value", "数据之后还有多余字节");
  return value;
}

function spelling() {
  return new Fault(WHERE, "not in canonical form", "不是规范编码");
}

// Give [major type, argument]; the argument must have the shortest head.
function readHead(reader) {
  if (reader.at >= reader.data.length) throw spelling();
  const first = reader.data[reader.at++];
  const major = first >> 5, low = first & 31;
  if (low < 24) return [major, BigInt(low)];
  const width = { 24: 1, 25: 2, 26: 4, 27: 8 }[low];
  if (width === undefined || reader.at + width > reader.data.length || major === 7) throw spelling();
  let value;
  if (width === 8) value = reader.view.getBigUint64(reader.at);
  else value = BigInt(width === 1 ? reader.view.getUint8(reader.at) : width === 2 ? reader.view.getUint16(reader.at) : reader.view.getUint32(reader.at));
  if (value < { 1: 24n, 2: 0x100n, 4: 0x10000n, 8: 0x100000000n }[width]) throw spelling();
  reader.at += width;
  return [major, value];
}

function readItem(reader, depth) {
  const [major, argument] = readHead(reader);
  if (major === 0) return argument;
  if (major === 1) {
    if (argument >= 1n << 63n) throw spelling();
    return -1n - argument;
  }
  if (major === 7) {
    if (argument === 20n) return false;
    if (argument === 21n) return true;
    if (argument === 22n) return null;
    throw spelling();
  }
  if (major === 6 || argument > BigInt(reader.data.length - reader.at)) throw spelling();
  const length = Number(argument);
  if (major === 2 || major === 3) {
    const bytes = reader.data.subarray(reader.at, reader.at + length);
    reader.at += length;
    return major === 2 ? bytes : fromUtf8(bytes, WHERE);
  }
  if (depth >= MAX_DEPTH) throw new Fault(WHERE, `nested deeper than ${MAX_DEPTH}`, `嵌套超过 ${MAX_DEPTH} 层`);
  if (major === 4) {
    const out = [];
    for (let count = 0; count < length; count++) out.push(readItem(reader, depth + 1));
    return out;
  }
  return readMap(reader, length, depth);
}

function readMap(reader, length, depth) {
  const out = new Map();
  let before = null, kind = null;
  for (let count = 0; count < length; count++) {
    const from = reader.at;
    const key = readItem(reader, MAX_DEPTH);
    if (kind !== null && typeof key !== kind) throw spelling();
    kind = typeof key;
    if (kind !== "string" && (kind !== "bigint" || key < 0n)) throw spelling();
    const encoded = reader.data.subarray(from, reader.at);
    if (before !== null && !precedes(before, encoded)) throw spelling();
    before = encoded;
    out.set(kind === "bigint" && key <= 0xffffffffn ? Number(key) : key, readItem(reader, depth + 1));
  }
  return out;
}

function precedes(one, two) {
  if (one.length !== two.length) return one.length < two.length;
  for (let at = 0; at < one.length; at++) if (one[at] !== two[at]) return one[at] < two[at];
  return false;
}
