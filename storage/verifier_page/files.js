// The files of a bundle: a folder or a zip file as the browser gives it, read in pieces, every byte hashed. Names of members as in
// docs/adr/0008. A zip file must be exactly what the exporter writes (stored, one after another, no extra bytes).

import { Fault, Sha256, fromUtf8, join, need, toHex } from "./bytes.js";

export const EVIDENCE = "data/evidence-sha256.txt", MANIFEST = "manifest-sha256.txt", TAG_MANIFEST = "tagmanifest-sha256.txt";
export const BAGIT = "bagit.txt", BAG_INFO = "bag-info.txt", README = "README.txt", CHECKPOINT = "data/log/checkpoint";
export const ROOT = "data/trust/root.pem", SITE_CA = "data/trust/site-ca.pem", SUMMARY = "data/task.json";
export const POLICY = "data/log/policy.txt", CUSTODY = "data/custody.csv", CLOCK = "data/clock.json";
export const FIXED = [BAGIT, BAG_INFO, MANIFEST, TAG_MANIFEST, README, EVIDENCE, CHECKPOINT, POLICY, ROOT, SITE_CA, SUMMARY, CUSTODY, CLOCK];
export const CLAIMS = ["data/trust/export.pem", "data/trust/crl.pem", "data/trust/time-authorities.pem"];
export const READABLE = ["verify.html", "report.json", "report.html", "report.pdf"];
const PART = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", NUMBER = "(?:0|[1-9][0-9]{0,14})";
const FORMS = {
  video: new RegExp(`^data/video/(${PART})/(${PART})/(${NUMBER})\\.mp4$`),
  sidecar: new RegExp(`^data/video/(${PART})/(${PART})/(${NUMBER})\\.c2pa$`),
  journal: new RegExp(`^data/journals/(${PART})-(${NUMBER})\\.(bin|range)$`),
  leaf: new RegExp(`^data/log/(${NUMBER})\\.(cose|tlog-proof|opening)$`),
  seen: new RegExp(`^data/log/seen-(${NUMBER})\\.consistency$`),
  note: new RegExp(`^data/log/seen-(${NUMBER})\\.checkpoint$`),
  token: new RegExp(`^data/time/(${NUMBER})\\.(tsr|txt)$`),
  beside: /^\.\.\/[A-Za-z0-9](?:[A-Za-z0-9.-]{0,100}[A-Za-z0-9])?\.(p7s|tsr)$/,
};
const MAX_FILES = 1000000, MAX_SMALL = 512 * 2 ** 20, WHOLE = 64 * 2 ** 20, PIECE = 4 * 2 ** 20;

export function parseName(form, name) {
  return FORMS[form].exec(name);
}

export function isMember(name) {
  return FIXED.includes(name) || CLAIMS.includes(name) || READABLE.includes(name) || Object.values(FORMS).some((form) => form.test(name));
}

// Files that the evidence manifest lists: all that existed before the export record did.
export function isEvidence(name, exportIndex) {
  if ([ROOT, SITE_CA, POLICY, ...CLAIMS].includes(name) || ["video", "sidecar", "journal", "note"].some((form) => FORMS[form].test(name))) return true;
  const leaf = FORMS.leaf.exec(name);
  return Boolean(leaf && ["cose", "opening"].includes(leaf[2]) && Number(leaf[1]) !== exportIndex);
}

// ------------------------------------------------------------------------------------------------------------ folder and zip file

// Give Map(name -> Blob) of [path, File] pairs of a folder, or of the one zip file.
export async function openBundle(pairs) {
  const isZip = pairs.length === 1 && /\.zip$/i.test(pairs[0][0]);
  const found = isZip ? await readZip(pairs[0][1]) : new Map(pairs);
  need(found.size <= MAX_FILES, "bundle", "more files than a bundle has", "文件多于证据包应有的数量");
  const names = [...found.keys()];
  if (!found.has(BAGIT)) {
    const tops = [...new Set(names.filter((name) => name.includes("/")).map((name) => name.split("/")[0]))];
    const top = tops.filter((one) => found.has(`${one}/${BAGIT}`));
    const chosen = top.length === 1 ? top[0] : tops.length === 1 ? tops[0] : null;
    if (chosen !== null) {
      const moved = names.map((name) => [name.startsWith(`${chosen}/`) ? name.slice(chosen.length + 1) : `../${name}`, found.get(name)]);
      found.clear();
      for (const [name, blob] of moved) found.set(name, blob);
    }
  }
  need(FIXED.some((name) => found.has(name)), "bundle", "holds no file of an evidence bundle", "其中没有证据包的文件");
  return found;
}

async function slice(blob, from, to) {
  return new Uint8Array(await blob.slice(from, to).arrayBuffer());
}

const LIMIT = 0x7fffffff, FULL = 0xffffffff;

async function readZip(file) {
  const unreadable = (en, zh) => new Fault(file.name, `not a zip file of a bundle: ${en}`, `不是证据包的 zip 文件:${zh}`);
  const tail = await slice(file, Math.max(0, file.size - 22 - 20 - 56), file.size);
  const view = new DataView(tail.buffer);
  const end = tail.length - 22;
  if (end < 0 || view.getUint32(end, true) !== 0x06054b50 || view.getUint16(end + 20, true) !== 0) throw unreadable("no end record", "没有结尾记录");
  let count = view.getUint16(end + 10, true), size = view.getUint32(end + 12, true), start = view.getUint32(end + 16, true);
  const isLong = end >= 20 && view.getUint32(end - 20, true) === 0x07064b50;
  if (isLong) {
    if (end < 76 || view.getUint32(end - 76, true) !== 0x06064b50) throw unreadable("no 64-bit end record", "没有 64 位结尾记录");
    [count, size, start] = [32, 40, 48].map((at) => Number(view.getBigUint64(end - 76 + at, true)));
  }
  if (count > MAX_FILES || size > MAX_SMALL || start + size > file.size) throw unreadable("its directory does not fit", "目录不符");
  const directory = await slice(file, start, file.size);
  const entries = readEntries(directory, count, unreadable);
  const found = new Map();
  let at = 0;
  for (const one of entries) {
    const parts = one.name.split("/");
    if (one.at !== at || one.name.includes("\\") || one.name.length > 320 || parts.some((part) => ["", ".", ".."].includes(part)) || found.has(one.name)) throw unreadable(one.name.slice(0, 80), one.name.slice(0, 80));
    const header = localHeader(one), here = await slice(file, at, at + header.length);
    if (!header.every((value, place) => here[place] === value)) throw unreadable(`header of ${one.name}`, `${one.name} 的文件头`);
    found.set(one.name, file.slice(at + header.length, at + header.length + one.size));
    at += header.length + one.size;
  }
  const again = encodeDirectory(entries, start);
  if (at !== start || again.length !== directory.length || !again.every((value, place) => directory[place] === value)) throw unreadable("bytes stand between or behind the files", "文件之间或之后有多余字节");
  return found;
}

function readEntries(data, count, unreadable) {
  const view = new DataView(data.buffer), out = [];
  let at = 0;
  for (let number = 0; number < count; number++) {
    if (at + 46 > data.length || view.getUint32(at, true) !== 0x02014b50) throw unreadable("its directory is cut", "目录截断");
    const [nameSize, extraSize, commentSize] = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const extraAt = at + 46 + nameSize;
    if (extraAt + extraSize > data.length) throw unreadable("its directory is cut", "目录截断");
    const one = { name: fromUtf8(data.subarray(at + 46, extraAt), "zip"), crc: view.getUint32(at + 16, true), size: view.getUint32(at + 24, true), at: view.getUint32(at + 42, true) };
    let extra = extraAt + 4;
    const long = () => {
      if (extra + 8 > extraAt + extraSize) throw unreadable("a size is missing", "缺少长度");
      extra += 8;
      return Number(view.getBigUint64(extra - 8, true));
    };
    if (one.size === FULL) {
      one.size = long();
      long();
    }
    if (one.at === FULL) one.at = long();
    out.push(one);
    at = extraAt + extraSize + commentSize;
  }
  return out;
}

function little(...fields) {
  const out = new Uint8Array(fields.reduce((sum, [width]) => sum + width, 0)), view = new DataView(out.buffer);
  let at = 0;
  for (const [width, value] of fields) {
    if (width === 2) view.setUint16(at, value, true);
    else if (width === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += width;
  }
  return out;
}

const ascii = (text) => Uint8Array.from(text, (one) => one.charCodeAt(0));

// The one local header that the exporter writes: stored, 1 January 1980.
function localHeader(one) {
  const isLong = one.size >= LIMIT, extra = isLong ? little([2, 1], [2, 16], [8, one.size], [8, one.size]) : new Uint8Array(0);
  const size = isLong ? FULL : one.size, name = ascii(one.name);
  return join(little([4, 0x04034b50], [2, isLong ? 45 : 20], [2, 0], [2, 0], [2, 0], [2, 0x21], [4, one.crc], [4, size], [4, size], [2, name.length], [2, extra.length]), name, extra);
}

function encodeDirectory(entries, start) {
  const parts = [];
  let total = 0;
  for (const one of entries) {
    const long = [...(one.size > LIMIT ? [[8, one.size], [8, one.size]] : []), ...(one.at > LIMIT ? [[8, one.at]] : [])];
    const extra = long.length ? little([2, 1], [2, 8 * long.length], ...long) : new Uint8Array(0);
    const version = long.length ? 45 : 20, size = one.size > LIMIT ? FULL : one.size, name = ascii(one.name);
    const head = little([4, 0x02014b50], [2, version | (3 << 8)], [2, version], [2, 0], [2, 0], [2, 0], [2, 0x21], [4, one.crc], [4, size], [4, size], [2, name.length], [2, extra.length], [2, 0], [2, 0], [2, 0], [4, 0x81a40000], [4, one.at > LIMIT ? FULL : one.at]);
    parts.push(head, name, extra);
    total += head.length + name.length + extra.length;
  }
  const count = entries.length;
  if (count > 0xffff || start > LIMIT || total > LIMIT) {
    parts.push(little([4, 0x06064b50], [8, 44], [2, 45], [2, 45], [4, 0], [4, 0], [8, count], [8, count], [8, total], [8, start]));
    parts.push(little([4, 0x07064b50], [4, 0], [8, start + total], [4, 1]));
  }
  parts.push(little([4, 0x06054b50], [2, 0], [2, 0], [2, Math.min(count, 0xffff)], [2, Math.min(count, 0xffff)], [4, Math.min(total, FULL)], [4, Math.min(start, FULL)], [2, 0]));
  return join(...parts);
}

// ------------------------------------------------------------------------------------------------------------------------ hashing

// Read a small file whole.
export async function readWhole(blob, name) {
  need(blob.size <= MAX_SMALL, name, `${blob.size} bytes are more than such a file has`, `${blob.size} 字节,超过此类文件的上限`);
  return slice(blob, 0, blob.size);
}

// Hash a file; give {size, hash, prefixes: Map(length -> hash in hex) at the marks, data: its bytes when they fit in memory}.
export async function hashFile(blob, marks, progress) {
  const due = [...new Set(marks)].filter((mark) => mark >= 0 && mark <= blob.size).sort((one, two) => one - two);
  if (blob.size > WHOLE) return hashPieces(blob, due, progress);
  const data = await slice(blob, 0, blob.size), prefixes = new Map();
  for (const mark of due) prefixes.set(mark, toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", data.subarray(0, mark)))));
  const hash = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", data)));
  progress(blob.size);
  return { size: data.length, hash, prefixes, data };
}

async function hashPieces(blob, due, progress) {
  const digest = new Sha256(), prefixes = new Map();
  for (let at = 0; at <= blob.size; ) {
    while (due.length && due[0] === at) prefixes.set(due.shift(), toHex(digest.digest()));
    if (at === blob.size) break;
    const piece = await slice(blob, at, Math.min(at + PIECE, due[0] ?? blob.size, blob.size));
    digest.update(piece);
    at += piece.length;
    progress(piece.length);
  }
  return { size: blob.size, hash: toHex(digest.digest()), prefixes, data: null };
}
