// Records: canonical CBOR in a COSE_Sign1 (RFC 9052), twelve fields, a body by kind. Unknown kinds and fields are refused.
// Written from docs/reference/records.md. Field types: i whole number, n BigInt (times in ns), s text, b bytes, o boolean,
// [..] list of that, a name: nested value, /../ one of these words; a "?" behind the field's name: may be left out.

import { Fault, join, need, same, sha256, toHex, toUtf8 } from "./bytes.js";
import { decodeCbor } from "./cbor.js";
import { leafHash } from "./trees.js";

const NESTED = {
  OpenSegment: "stream:s number:i size:i sha256:b mono_from:n mono_to:n",
  StreamHead: "stream:s number?:i",
  Area: "points:[(i,i,i,i,i)] until:i way:/black|blur/ origin:/drawn|proposed/ by:s",
  Parent: "number:i sha256:b leaf:b epoch:i position:i",
};
const KINDS = {
  "boot": "boot_id:b software:s previous_epoch?:i previous_size?:i previous_root?:b clean?:o",
  "session": "key:b until_mono_ns:n usage:/live|import/",
  "recording": "state:/started|stopped/ cause:s origin:/rtsp|whip|import/ next_number:i expected_end_ns?:n at_mono?:n",
  "segment": "number:i sha256:b size:i mono_from:n mono_to:n wall_from:n run:i media_from:n frames:i config?:b state:/live|recovered|imported/ " +
    "lost?:i bound?:i epoch?:i device_from?:n tasks?:[s] sample_root?:b starts?:[n]",
  "gap": "cause:/camera lost|camera stalled|recorder lost|frames lost|disk full|disk slow|restart|bytes lost|clock step|operator stop|" +
    "unsupported|starting/ wall_from:n wall_to:n mono_from?:n mono_to?:n detail?:s frames?:i epoch?:i",
  "heartbeat": "open:[OpenSegment]",
  "seal": "note:b streams:[StreamHead] reason:/interval|task|shutdown/ counter?:i",
  "clock-step": "before_ns:n after_ns:n step_ns:n",
  "box-state": "state:s detail?:s",
  "disposal": "blobs:[b] reason:s by?:s records?:[i]",
  "task": "state:/opened|ended/ by:s site:s bay?:s title?:s inspectors?:[s] cameras?:[s] facts?:[(s,s)]",
  "pairing": "state:/paired|unpaired/ stream:s by:s order?:b late_from?:n second?:s reason?:s planned_end_ns?:n",
  "stored": "blobs:[b]",
  "view": "state:/started|ended/ viewer:s way:/live|playback/ view:s detail?:s",
  "export": "by:s manifest:b files:i streams?:[s] start_ns?:n end_ns?:n signer?:b stamped?:o",
  "enrolment": "state:/issued|revoked/ certificate:b by:s reason?:s",
  "equivocation": "epoch:i position:i known:b other:b",
  "access": "act:s by:s detail?:s",
  "time-token": "size:i root:b token:b authority:s",
  "head-seen": "epoch:i note:b by:s way:/file|code/",
  "audit-report": "by:s size:i root:b findings:i report:b",
  "keeping": "state:/classed|held|freed/ by:s reason:s kept_as?:s",
  "rollback": "epoch:i size:i held:i boot:b known:b session:b",
  "configuration": "sha256:b facts:[(s,s)] changed:o",
  "derived": "act:/redacted/ sha256:b size:i by:s stream:s start_ns:n end_ns:n parents:[Parent] areas:[Area] sound:/kept|muted|none/ " +
    "frames:i tools:[(s,s)] reason?:s",
  "concealed": "of:s commitment:b",
  "port-checkpoint": "note:b",
  "fork": "known:b other:b",
  "declaration": "act:/lodged|amended|withdrawn/ version:i state:s sheet:b",
  "step": "state:s sheet:b rule?:s",
  "reference": "act:/set|retired/ version:i sheet:b",
  "hold": "state:/placed|lifted/ authority:s sheet:b",
  "draw-policy": "document:b sheet:b",
  "draw-call": "number:i closes_ns:n policy:b chain:b",
  "draw-closing": "number:i root:b entries:i inspectors:i policy:b chain:b",
  "draw-result": "number:i answers:[(s,b)] missing:[s] outcome:/drawn|fallen back/ seed:b selected:i result:b counts:[(s,i,i)]",
  "draw-act": "act:/excluded|readmitted|refused|overridden/ sheet:b",
  "annotation": "from_ns:n to_ns:n sheet:b stream?:s corrects?:i",
  "instruction": "act:/given|acknowledged/ sheet:b answers?:i",
  "second-round": "draw:i rule:s parts:i pool:b size:i chosen:[s]",
  "second-look": "act:/assigned|found/ sheet:b outcome?:/confirmed|findings/",
  "procedure": "act:/proposed|published|rejected|withdrawn/ version:i sha256:b effective:s sheet:b until?:s rule?:s",
  "rule": "act:/proposed|approved|rejected|withdrawn/ version:i sheet:b",
  "credit-event": "item:s day:s sheet:b expires?:s points?:i facts?:[(s,i)] rule?:s",
  "appeal": "event:i act:/filed|upheld|rejected/ sheet:b",
  "rule-set": "family:/credit|sampling/ document:b sheet:b",
  "sample": "act:/drawn|sealed|handed-over|received|reported|voided/ declaration:s sheet:b laboratory?:s sound?:o verdict?:/negative|positive/ report?:b",
  "message-in": "number:i raw:b size:i form:/json|edifact|other/ reference:s outcome:/taken|rejected/ units:[(s,s,b,s)]",
  "message-out": "number:i raw:b size:i form:/json|edifact/ about:s way:/queued|answer/ cause:i declaration?:s",
  "port-event": "message:i number:i event:s container:s outcome:/applied|noted|kept|illegal|refused/ at:s declaration?:s place?:s",
  "delivery": "message:i state:/delivered|dead|resent/ attempts:i sheet?:b",
  "evaluation": "verdict:/pass|treat|rectify|re-inspect|return|destroy|detain|case/ size:i sheet:b",
  "release": "act:/released|overridden|recalled/ size:i root:b items:i sheet:b rule?:s",
  "device-key": "state:/issued|revoked/ spki:b sheet:b until_ns?:n",
  "work": "act:/answers|rest|signature|pause|resume|hand-over|step|note|swap/ id:b key:b seq:i sheet:b ahead_ms?:i",
  "system-note": "key:s sheet:b",
  "ticket": "nonce:b until_ns:n by:s",
};
const PLANS = new Map(
  [...Object.entries(NESTED), ...Object.entries(KINDS)].map(([name, text]) => [
    name, text.split(/ (?=[a-z_0-9]+\??:)/).map((field) => {
      const [, title, optional, type] = /^([a-z_0-9]+)(\??):(.*)$/.exec(field);
      return { name: title, optional: optional === "?", type };
    }),
  ]),
);

export function knownKinds() {
  return Object.keys(KINDS);
}

// The plan of a kind as [name, optional] pairs: compared with the programs' own in the tests.
export function planOf(kind) {
  return PLANS.get(kind).map((field) => [field.name, field.optional]);
}

function wrongType(where) {
  return new Fault(where, "wrong type or out of bounds", "类型错误或超出范围");
}

function take(type, value, where) {
  if (type === "i") {
    if (typeof value !== "bigint" || value > 9007199254740991n || value < -9007199254740991n) throw wrongType(where);
    return Number(value);
  }
  if (type === "n" && typeof value === "bigint") return value;
  if (type === "s" && typeof value === "string") return value;
  if (type === "b" && value instanceof Uint8Array) return value;
  if (type === "o" && typeof value === "boolean") return value;
  if (type[0] === "/" && typeof value === "string" && type.slice(1, -1).split("|").includes(value)) return value;
  if (type[0] === "[" && Array.isArray(value)) return value.map((one) => take(type.slice(1, -1), one, where));
  if (type[0] === "(" && Array.isArray(value)) {
    const parts = type.slice(1, -1).split(",");
    if (parts.length === value.length) return value.map((one, at) => take(parts[at], one, where));
  }
  if (PLANS.has(type) && type in NESTED) return takeFields(type, value, where);
  throw wrongType(where);
}

function takeFields(name, value, where) {
  need(value instanceof Map, where, "body is not a map", "内容不是映射");
  const out = {};
  let found = 0;
  PLANS.get(name).forEach((field, at) => {
    if (value.has(at + 1)) {
      out[field.name] = take(field.type, value.get(at + 1), `${where}.${field.name}`);
      found += 1;
    } else {
      need(field.optional, `${where}.${field.name}`, "missing", "缺失");
      out[field.name] = null;
    }
  });
  need(found === value.size, where, "unknown fields", "有未知字段");
  return out;
}

// ------------------------------------------------------------------------------------------------------------------------ COSE

function byteHead(length) {
  if (length < 24) return Uint8Array.of(0x40 | length);
  if (length < 0x100) return Uint8Array.of(0x58, length);
  return length < 0x10000 ? Uint8Array.of(0x59, length >> 8, length & 255) : Uint8Array.of(0x5a, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255);
}

function byteString(data, at) {
  const width = { 0x58: 1, 0x59: 2, 0x5a: 4 }[data[at]] ?? 0;
  let length = width ? 0 : data[at] - 0x40;
  for (let place = 0; place < width; place++) length = length * 256 + data[at + 1 + place];
  const start = at + 1 + width, end = start + length;
  const head = length >= 0 && end <= data.length ? byteHead(length) : [];
  need(head.length === 1 + width && head.every((value, place) => data[at + place] === value), "cose", `no byte string at byte ${at}`, `第 ${at} 字节处不是字节串`);
  return [data.subarray(start, end), end];
}

const SIGNATURE1 = Uint8Array.of(0x84, 0x6a, 0x53, 0x69, 0x67, 0x6e, 0x61, 0x74, 0x75, 0x72, 0x65, 0x31); // ["Signature1", ...
const NO_DATA = Uint8Array.of(0x40);

function openCose(data) {
  need(data.length <= 65536, "cose", `${data.length} bytes, at most 65536`, `${data.length} 字节,超过上限 65536`);
  need(data[0] === 0xd2 && data[1] === 0x84, "cose", "not a tagged COSE_Sign1", "不是 COSE_Sign1");
  const [head, afterHead] = byteString(data, 2);
  need(data[afterHead] === 0xa0, "cose", "unprotected header is not empty", "非保护头不为空");
  const [payload, afterPayload] = byteString(data, afterHead + 1);
  const [signature, end] = byteString(data, afterPayload);
  need(end === data.length, "cose", "bytes follow the signature", "签名之后还有多余字节");
  const header = decodeCbor(head, 64);
  const key = header instanceof Map ? header.get(4) : null, algorithm = header instanceof Map ? header.get(1) : null;
  need(header instanceof Map && header.size === 2 && key instanceof Uint8Array && key.length === 8 && (algorithm === -7n || algorithm === -8n), "cose", "header is not {1: algorithm, 4: key id}", "保护头不是 {1: 算法, 4: 密钥标识}");
  const signed = join(SIGNATURE1, byteHead(head.length), head, NO_DATA, byteHead(payload.length), payload);
  return { algorithm: Number(algorithm), keyId: toHex(key), payload, signature, signed };
}

const ISSUER = /^(box|hub|person):([a-z0-9](?:[a-z0-9._-]{0,38}[a-z0-9])?)$/;

// Parse a signed record; nothing is verified yet.
export function readRecord(data) {
  const envelope = openCose(data);
  const fields = decodeCbor(envelope.payload);
  need(fields instanceof Map && fields.size === 12 && Array.from({ length: 12 }, (_, at) => at + 1).every((key) => fields.has(key)), "record", "fields are not exactly 1 to 12", "字段不是恰好 1 到 12");
  need(fields.get(1) === 1n, "record.version", "version is not known", "版本未知");
  const [kind, issuer, subject] = [fields.get(2), fields.get(3), fields.get(7)];
  need(typeof kind === "string" && Object.hasOwn(KINDS, kind), "record.kind", `kind ${String(kind).slice(0, 40)} is not known`, `未知的记录种类 ${String(kind).slice(0, 40)}`);
  const named = typeof issuer === "string" ? ISSUER.exec(issuer) : null;
  need(named, "record.issuer", "is no issuer", "签发者格式错误");
  const root = take("b", fields.get(6), "record.root"), clock = fields.get(10), seen = fields.get(11);
  const mono = take("n", fields.get(9), "record.time"), error = Array.isArray(clock) ? clock[1] : undefined;
  if (root.length !== 32 || typeof subject !== "string" || [...subject].length > 128 || mono < 0n) throw wrongType("record");
  if (!Array.isArray(clock) || clock.length !== 2 || ![0n, 1n, 2n].includes(clock[0]) || !(error === null || (typeof error === "bigint" && error >= 0n))) throw wrongType("record.clock");
  const record = {
    kind, issuer, role: named[1], name: named[2], epoch: take("i", fields.get(4), "record.epoch"), position: take("i", fields.get(5), "record.position"),
    root, subject, wall: take("n", fields.get(8), "record.time"), mono, seen: seen === null ? null : takeSeen(seen), body: takeFields(kind, fields.get(12), kind),
  };
  if (record.epoch < 0 || record.position < 0) throw wrongType("record");
  return { record, data, envelope, leaf: leafHash(data) };
}

function takeSeen(value) {
  if (!Array.isArray(value) || value.length !== 2) throw wrongType("record.seen");
  const size = take("i", value[0], "record.seen"), root = take("b", value[1], "record.seen");
  if (size < 0 || root.length !== 32) throw wrongType("record.seen");
  return { size, root };
}

const CONCEALED = join(toUtf8("portwitness/concealed/v1"), Uint8Array.of(0));

// Give a concealed record with the body that its opening shows; a Fault when it is not the one that is bound.
export function revealRecord(signed, opening) {
  const { record } = signed, where = "opening";
  need(record.kind === "concealed", where, `a ${record.kind} has nothing concealed`, `${record.kind} 没有隐藏内容`);
  need(opening.length >= 32 && same(sha256(CONCEALED, opening), record.body.commitment), where, "is not what the record's commitment binds", "不是记录所承诺的内容");
  const inner = decodeCbor(opening.subarray(32));
  const [kind, subject, body] = Array.isArray(inner) && inner.length === 3 ? inner : [];
  need(kind === record.body.of && ["access", "view"].includes(kind) && typeof subject === "string", where, "holds another kind than the record says", "种类与记录不符");
  need(kind !== "view" || subject === record.subject, where, "names another subject than the record", "对象与记录不符");
  return { ...signed, record: { ...record, kind, subject, body: takeFields(kind, body, kind) } };
}

// Records in a row, each behind its length in 4 bytes.
export function splitRecords(data) {
  const out = [];
  for (let at = 0; at < data.length; ) {
    const size = at + 4 <= data.length ? ((data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3]) >>> 0 : -1;
    need(size >= 0 && size <= 65536 && at + 4 + size <= data.length, "records", `cut, or a record too long, at byte ${at}`, `第 ${at} 字节处截断或记录过长`);
    out.push(data.subarray(at + 4, at + 4 + size));
    at += 4 + size;
  }
  return out;
}

// A `.range` file: where a range of a journal stands in its tree.
export function parseRange(data) {
  const value = decodeCbor(data, 131072), where = "range";
  need(Array.isArray(value) && value.length === 5 && value[0] === 1n, where, "not [1, first, left, session, path]", "不是 [1, 起点, 左子树, 会话, 路径]");
  const hashes = (list) => {
    if (!Array.isArray(list) || list.length > 128) throw wrongType(where);
    for (const one of list) if (!(one instanceof Uint8Array) || one.length !== 32) throw wrongType(where);
    return list;
  };
  const first = take("i", value[1], where), session = value[3];
  if (first < 0 || (session !== null && !(session instanceof Uint8Array)) || (session === null) !== (first === 0)) throw wrongType(where);
  return { first, left: hashes(value[2]), session, path: hashes(value[4]) };
}
