// The samples of a fragmented MP4 file (ISO/IEC 14496-12) and the Merkle root over them (docs/adr/0009): table of contents, then each
// track's head and samples (dts, pts, duration in 1/705600000 s, key flag, SHA-256). Only what a box writes is read: H.264, H.265, Opus,
// AAC and others by their sample entry, in fragments.

import { Fault, bigEndian, join, need, sha256, toHex, toUtf8 } from "./bytes.js";
import { leafHash, rootOver } from "./trees.js";

const FLICKS = 705600000n, NON_SYNC = 0x10000, MAX_SAMPLES = 100000;

function wrong(where) {
  return new Fault(where, "is not read", "无法读取");
}

function* boxesIn(data, from, to) {
  for (let at = from; at < to; ) {
    if (to - at < 8) throw wrong(`byte ${at}`);
    let size = bigEndian(data, at, 4), head = 8;
    if (size === 1) [size, head] = [to - at < 16 ? 0 : bigEndian(data, at + 8, 8), 16];
    if (size < head || at + size > to) throw wrong(`byte ${at}`);
    yield { type: String.fromCharCode(...data.subarray(at + 4, at + 8)), start: at, body: at + head, end: at + size };
    at += size;
  }
}

function inside(data, box, many = [], skip = 0) {
  const found = {};
  for (const one of boxesIn(data, box.body + skip, box.end)) {
    if (one.type in found && !["free", "skip", "uuid", ...many].includes(one.type)) throw wrong(box.type);
    found[one.type] = one;
  }
  return found;
}

function fetch32(data, at, box) {
  if (at + 4 > box.end) throw wrong(box.type);
  return bigEndian(data, at, 4);
}

function must(found, ...types) {
  for (const type of types) if (!(type in found)) throw wrong(type);
  return types.map((type) => found[type]);
}

function readMovie(data, moov) {
  const movie = { tracks: new Map(), defaults: new Map(), scale: 0, samples: 0 };
  const [mvhd] = must(inside(data, moov, ["trak", "udta"]), "mvhd");
  movie.scale = fetch32(data, mvhd.body + (data[mvhd.body] === 1 ? 20 : 12), mvhd);
  for (const one of boxesIn(data, moov.body, moov.end)) {
    if (one.type === "trak") readTrack(data, one, movie);
    if (one.type === "mvex")
      for (const trex of boxesIn(data, one.body, one.end))
        if (trex.type === "trex") {
          const [id, , duration, size, flags] = [4, 8, 12, 16, 20].map((at) => fetch32(data, trex.body + at, trex));
          movie.defaults.set(id, { duration, size, flags });
        }
  }
  if (!movie.scale) throw wrong("mvhd");
  return movie;
}

function readTrack(data, trak, movie) {
  const found = inside(data, trak, ["udta", "tref"]), [tkhd, mdia] = must(found, "tkhd", "mdia");
  const media = inside(data, mdia), [mdhd, hdlr, minf] = must(media, "mdhd", "hdlr", "minf");
  const id = fetch32(data, tkhd.body + (data[tkhd.body] === 1 ? 20 : 12), tkhd);
  const scale = fetch32(data, mdhd.body + (data[mdhd.body] === 1 ? 20 : 12), mdhd);
  fetch32(data, hdlr.body + 8, hdlr);
  const kind = String.fromCharCode(...data.subarray(hdlr.body + 8, hdlr.body + 12));
  const [stbl] = must(inside(data, minf), "stbl"), tables = inside(data, stbl, ["sgpd", "sbgp", "subs", "saiz", "saio"]), [stsd] = must(tables, "stsd");
  if (!scale || movie.tracks.has(id) || movie.tracks.size === 16) throw wrong("trak");
  if ("stz2" in tables || ("stsz" in tables && fetch32(data, tables.stsz.body + 8, tables.stsz))) throw wrong("stbl"); // not fragmented
  const track = { id, kind, scale, ...codecOf(data, stsd, kind), delay: 0, mediaTime: 0, rows: [], samples: [], last: 0 };
  if ("edts" in found) {
    const [elst] = must(inside(data, found.edts), "elst"), isLong = data[elst.body] === 1, count = fetch32(data, elst.body + 4, elst), width = isLong ? 20 : 12;
    if (count > 8 || elst.body + 8 + count * width > elst.end) throw wrong("elst");
    for (let at = elst.body + 8; at < elst.body + 8 + count * width; at += width) {
      const duration = bigEndian(data, at, isLong ? 8 : 4), raw = data.subarray(at + (isLong ? 8 : 4), at + width - 4);
      const media = Number(BigInt.asIntN(8 * raw.length, BigInt(`0x${toHex(raw)}`)));
      track.rows.push({ duration, media, rate: bigEndian(data, at + width - 4, 4) });
    }
  }
  movie.tracks.set(id, track);
}

function codecOf(data, stsd, kind) {
  const entries = [...boxesIn(data, stsd.body + 8, stsd.end)];
  if (fetch32(data, stsd.body + 4, stsd) !== 1 || entries.length !== 1 || entries[0].end - entries[0].start > 65536) throw wrong("stsd");
  const [entry] = entries;
  const config = (skip, type) => {
    if (entry.body + skip > entry.end) throw wrong("stsd");
    const [box] = must(inside(data, entry, [], skip), type);
    return data.subarray(box.body, box.end);
  };
  if (kind === "vide" && ["avc1", "avc3"].includes(entry.type)) return { codec: "h264", config: config(78, "avcC") };
  if (kind === "vide" && ["hvc1", "hev1"].includes(entry.type)) return { codec: "h265", config: config(78, "hvcC") };
  if (kind === "soun" && entry.type === "Opus") return { codec: "opus", config: config(28, "dOps") };
  if (kind === "soun" && entry.type === "mp4a") return elementary(config(28, "esds"));
  return { codec: entry.type, config: data.subarray(entry.body, entry.end) };
}

// Codec and decoder configuration of an `esds` box (ISO/IEC 14496-1, 7.2.6).
function elementary(body) {
  const open = (at, end, tag) => {
    let size = 0;
    for (let place = at + 1; body[at] === tag && place < Math.min(at + 5, end); place++) {
      size = size * 128 + (body[place] & 0x7f);
      if (!(body[place] & 0x80) && place + 1 + size <= end) return [place + 1, place + 1 + size];
      if (!(body[place] & 0x80)) break;
    }
    throw wrong("esds");
  };
  let [at, end] = open(4, body.length, 3);
  const flags = body[at + 2];
  at += 3 + (flags & 0x80 ? 2 : 0) + (flags & 0x40 ? 1 + body[at + 3] : 0) + (flags & 0x20 ? 2 : 0);
  [at, end] = open(at, end, 4);
  const kind = body[at];
  [at, end] = open(at + 13, end, 5);
  return { codec: `mp4a.${kind.toString(16).padStart(2, "0")}`, config: body.subarray(at, end) };
}

function readFragment(data, moof, movie) {
  let end = moof.start;
  for (const traf of boxesIn(data, moof.body, moof.end)) if (traf.type === "traf") end = readRuns(data, moof, traf, movie, end);
}

function readRuns(data, moof, traf, movie, before) {
  const found = inside(data, traf, ["trun", "sgpd", "sbgp", "subs", "saiz", "saio"]), [tfhd] = must(found, "tfhd");
  const flags = fetch32(data, tfhd.body, tfhd), track = movie.tracks.get(fetch32(data, tfhd.body + 4, tfhd));
  if (!track) throw wrong("tfhd");
  let at = tfhd.body + 8, base = flags & 0x20000 ? moof.start : before;
  const field = (bit, known) => {
    if (!(flags & bit)) return known;
    at += 4;
    return fetch32(data, at - 4, tfhd);
  };
  if (flags & 0x1) {
    if (at + 8 > tfhd.end) throw wrong("tfhd");
    base = bigEndian(data, at, 8);
    at += 8;
  }
  field(0x2, 0);
  const known = movie.defaults.get(track.id) ?? { duration: 0, size: 0, flags: 0 };
  const own = { duration: field(0x8, known.duration), size: field(0x10, known.size), flags: field(0x20, known.flags) };
  const previous = track.samples[track.samples.length - 1];
  let due = previous ? previous.dts + track.last : 0, place = base;
  if ("tfdt" in found) {
    const tfdt = found.tfdt, isLong = data[tfdt.body] !== 0;
    if (tfdt.body + (isLong ? 12 : 8) > tfdt.end) throw wrong("tfdt");
    due = bigEndian(data, tfdt.body + 4, isLong ? 8 : 4);
  }
  for (const trun of boxesIn(data, traf.body, traf.end)) if (trun.type === "trun") [due, place] = readRun(data, trun, track, movie, own, [due, base, place]);
  return place;
}

function readRun(data, trun, track, movie, own, [due, base, place]) {
  const word = fetch32(data, trun.body, trun), version = word >>> 24, flags = word & 0xffffff, count = fetch32(data, trun.body + 4, trun);
  let at = trun.body + 8, first = null;
  if (flags & 0x1) {
    place = base + (fetch32(data, at, trun) | 0);
    at += 4;
  }
  if (flags & 0x4) {
    first = fetch32(data, at, trun);
    at += 4;
  }
  const width = [0x100, 0x200, 0x400, 0x800].filter((bit) => flags & bit).length * 4;
  movie.samples += count;
  if (movie.samples > MAX_SAMPLES || at + width * count > trun.end) throw wrong("trun");
  for (let number = 0; number < count; number++) {
    const cell = (bit, known) => {
      if (!(flags & bit)) return known;
      at += 4;
      return bigEndian(data, at - 4, 4);
    };
    const duration = cell(0x100, own.duration), size = cell(0x200, own.size);
    let mark = cell(0x400, own.flags);
    const shift = cell(0x800, 0);
    if (number === 0 && first !== null) mark = first;
    if (place < 0 || place + size > data.length) throw wrong("trun");
    const isKey = track.kind !== "vide" || !(mark & NON_SYNC);
    track.samples.push({ dts: due, pts: due + (version !== 0 ? shift | 0 : shift), isKey, at: place, size });
    track.last = duration;
    due += duration;
    place += size;
  }
  return [due, place];
}

// Take a delay and a start from the edit list; refuse what hides or repeats media.
function applyEdits(track, scale) {
  const rows = [...track.rows];
  while (rows.length > 1 && rows[0].media === -1) track.delay += rows.shift().duration;
  if (!rows.length) return;
  const [one, ...more] = rows;
  if (more.length || one.media < 0 || one.rate !== 0x10000) throw wrong("elst");
  track.mediaTime = one.media;
  if (!track.samples.length) return;
  const shown = track.samples.map((sample) => sample.pts), slack = Math.floor((track.scale * 2) / 1000) + 1;
  const least = shown.reduce((a, b) => Math.min(a, b)), most = shown.reduce((a, b) => Math.max(a, b));
  const last = track.samples[track.samples.length - 1].dts + track.last;
  const whole = Math.max(last, most + track.last) - track.mediaTime;
  if (track.mediaTime > least + slack || (one.duration && Math.floor((one.duration * track.scale) / scale) + slack < whole)) throw wrong("elst");
}

function flicks(ticks, scale) {
  const value = BigInt(ticks) * FLICKS;
  if (value % BigInt(scale) !== 0n) throw wrong("sample time");
  return value / BigInt(scale);
}

function floorDiv(value, by) {
  const out = value / by;
  return value % by < 0n ? out - 1n : out;
}

// As much of a canonical CBOR writer as the heads of a tree need.
function head(major, value) {
  if (value < 24) return Uint8Array.of((major << 5) | value);
  if (value < 0x100) return Uint8Array.of((major << 5) | 24, value);
  if (value < 0x10000) return Uint8Array.of((major << 5) | 25, value >> 8, value & 255);
  return Uint8Array.of((major << 5) | 26, value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255);
}

const cborText = (text) => join(head(3, toUtf8(text).length), toUtf8(text));

async function sampleLeaves(data, track) {
  const digests = await Promise.all(track.samples.map((one) => crypto.subtle.digest("SHA-256", data.subarray(one.at, one.at + one.size))));
  const [first] = track.samples;
  const dts = track.samples.map((one) => flicks(one.dts - first.dts, track.scale)), pts = track.samples.map((one) => flicks(one.pts - first.pts, track.scale));
  const leaf = new Uint8Array(59), view = new DataView(leaf.buffer);
  leaf[1] = 1;
  return track.samples.map((one, at) => {
    view.setBigInt64(2, dts[at]);
    view.setBigInt64(10, pts[at]);
    view.setBigInt64(18, at + 1 < dts.length ? dts[at + 1] - dts[at] : 0n);
    leaf[26] = one.isKey ? 1 : 0;
    leaf.set(new Uint8Array(digests[at]), 27);
    return sha256(leaf);
  });
}

// Give {root: hex, starts: BigInt[] or null} of a file; a Fault when its samples cannot be read.
export async function sampleRoot(data) {
  let movie = null, size = 0;
  for (const box of boxesIn(data, 0, data.length)) {
    if (box.type === "moov") {
      need(movie === null, "moov", "a second one", "重复出现");
      movie = readMovie(data, box);
    } else if (box.type === "moof") {
      if (movie === null) throw wrong("moof");
      readFragment(data, box, movie);
    }
  }
  if (movie === null) throw wrong("mp4");
  for (const track of movie.tracks.values()) {
    size += track.samples.reduce((sum, one) => sum + one.size, 0);
    if (track.samples.some((one, at) => at && one.dts < track.samples[at - 1].dts)) throw wrong("mp4");
    applyEdits(track, movie.scale);
  }
  if (size > data.length) throw wrong("mp4");
  const used = [...movie.tracks.values()].filter((track) => track.samples.length);
  const leaves = [leafHash(join(head(4, 2), head(0, 1), head(4, used.length), ...used.map((track) => head(0, track.samples.length))))];
  for (const [place, track] of used.entries()) {
    leaves.push(leafHash(join(head(4, 4), head(0, place), cborText(track.kind), cborText(track.codec), head(2, track.config.length), track.config)));
    for (const leaf of await sampleLeaves(data, track)) leaves.push(leaf);
  }
  const shown = used.map((track) => floorDiv(BigInt(track.delay) * FLICKS, BigInt(movie.scale)) + floorDiv(BigInt(track.samples[0].pts - track.mediaTime) * FLICKS, BigInt(track.scale)));
  const starts = shown.slice(1).map((one) => one - shown[0]);
  return { root: toHex(rootOver(leaves)), starts: starts.length ? starts : null };
}
