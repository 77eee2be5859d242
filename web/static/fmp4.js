// Read what a player must know from a fragmented MP4 (ISO/IEC 14496-12): codecs, timescale, and each video sample's time.

/** @typedef {{codecs: string, scale: number, first: number, times: number[], end: number}} Picture */

/**
 * Walk the boxes between two offsets.
 * @param {DataView} view
 * @param {number} from
 * @param {number} to
 * @returns {Generator<{kind: string, start: number, end: number}>}
 */
function* boxes(view, from, to) {
  let at = from;
  while (at + 8 <= to) {
    let size = view.getUint32(at);
    let head = 8;
    if (size === 1 && at + 16 <= to) {
      size = Number(view.getBigUint64(at + 8));
      head = 16;
    } else if (size === 0) size = to - at;
    if (size < head || at + size > to) return;
    yield { kind: kindAt(view, at + 4), start: at + head, end: at + size };
    at += size;
  }
}

/** @param {DataView} view @param {number} at */
function kindAt(view, at) {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

/** Find a box by the path to it. @param {DataView} view @param {number} from @param {number} to @param {string[]} path */
function find(view, from, to, path) {
  let [start, end] = [from, to];
  for (const wanted of path) {
    const found = [...boxes(view, start, end)].find((box) => box.kind === wanted);
    if (!found) return null;
    [start, end] = [found.start, found.end];
  }
  return { start, end };
}

/** @param {number} value */
function hex(value) {
  return value.toString(16).padStart(2, "0");
}

/** The codec of a track's sample description. @param {DataView} view @param {{start: number, end: number}} stsd */
function codecOf(view, stsd) {
  for (const entry of boxes(view, stsd.start + 8, stsd.end)) {
    if (entry.kind === "avc1" || entry.kind === "avc3") {
      const config = find(view, entry.start + 78, entry.end, ["avcC"]);
      if (config) return `${entry.kind}.${hex(view.getUint8(config.start + 1))}${hex(view.getUint8(config.start + 2))}${hex(view.getUint8(config.start + 3))}`;
    }
    if (entry.kind === "mp4a") return "mp4a.40.2";
    if (entry.kind === "Opus") return "opus";
    return entry.kind;
  }
  return "";
}

/** @typedef {{id: number, video: boolean, codec: string, scale: number}} Track */

/** @param {DataView} view @returns {Track[]} */
function tracksOf(view) {
  const moov = find(view, 0, view.byteLength, ["moov"]);
  if (!moov) return [];
  /** @type {Track[]} */
  const tracks = [];
  for (const trak of boxes(view, moov.start, moov.end)) {
    if (trak.kind !== "trak") continue;
    const tkhd = find(view, trak.start, trak.end, ["tkhd"]);
    const mdhd = find(view, trak.start, trak.end, ["mdia", "mdhd"]);
    const hdlr = find(view, trak.start, trak.end, ["mdia", "hdlr"]);
    const stsd = find(view, trak.start, trak.end, ["mdia", "minf", "stbl", "stsd"]);
    if (!tkhd || !mdhd || !hdlr || !stsd) continue;
    tracks.push({
      id: view.getUint32(tkhd.start + (view.getUint8(tkhd.start) === 1 ? 20 : 12)),
      video: kindAt(view, hdlr.start + 8) === "vide",
      codec: codecOf(view, stsd),
      scale: view.getUint32(mdhd.start + (view.getUint8(mdhd.start) === 1 ? 20 : 12)),
    });
  }
  return tracks;
}

/** Sample times of one run of samples, in track units. @param {DataView} view @param {{start: number, end: number}} traf @param {number[]} times @returns {{decode: number, end: number}} */
function readFragment(view, traf, times) {
  const tfhd = find(view, traf.start, traf.end, ["tfhd"]);
  const tfdt = find(view, traf.start, traf.end, ["tfdt"]);
  if (!tfhd || !tfdt) return { decode: 0, end: 0 };
  const flags = view.getUint32(tfhd.start) & 0xffffff;
  let at = tfhd.start + 8;
  if (flags & 0x1) at += 8;
  if (flags & 0x2) at += 4;
  const usual = flags & 0x8 ? view.getUint32(at) : 0;
  const decode = view.getUint8(tfdt.start) === 1 ? Number(view.getBigUint64(tfdt.start + 4)) : view.getUint32(tfdt.start + 4);
  let time = decode;
  for (const trun of boxes(view, traf.start, traf.end)) if (trun.kind === "trun") time = readRun(view, trun, usual, time, times);
  return { decode, end: time };
}

/** @param {DataView} view @param {{start: number, end: number}} trun @param {number} usual @param {number} from @param {number[]} times */
function readRun(view, trun, usual, from, times) {
  const flags = view.getUint32(trun.start) & 0xffffff;
  const signed = view.getUint8(trun.start) === 1;
  const count = view.getUint32(trun.start + 4);
  let at = trun.start + 8 + (flags & 0x1 ? 4 : 0) + (flags & 0x4 ? 4 : 0);
  let time = from;
  for (let sample = 0; sample < count && at <= trun.end; sample += 1) {
    let duration = usual;
    if (flags & 0x100) {
      duration = view.getUint32(at);
      at += 4;
    }
    if (flags & 0x200) at += 4;
    if (flags & 0x400) at += 4;
    let shift = 0;
    if (flags & 0x800) {
      shift = signed ? view.getInt32(at) : view.getUint32(at);
      at += 4;
    }
    times.push(time + shift);
    time += duration;
  }
  return time;
}

/**
 * Give what a segment shows: its codecs for a SourceBuffer, and its video samples' presentation times in track units, in order.
 * @param {ArrayBuffer} data
 * @returns {Picture | null} null when it is no self-contained segment with video
 */
export function readPicture(data) {
  const view = new DataView(data);
  const tracks = tracksOf(view);
  const video = tracks.find((track) => track.video);
  if (!video) return null;
  /** @type {number[]} */
  const times = [];
  let first = -1;
  let end = 0;
  for (const moof of boxes(view, 0, view.byteLength)) {
    if (moof.kind !== "moof") continue;
    for (const traf of boxes(view, moof.start, moof.end)) {
      if (traf.kind !== "traf") continue;
      const tfhd = find(view, traf.start, traf.end, ["tfhd"]);
      if (!tfhd || view.getUint32(tfhd.start + 4) !== video.id) continue;
      const part = readFragment(view, traf, times);
      if (first < 0) first = part.decode;
      end = Math.max(end, part.end);
    }
  }
  times.sort((one, other) => one - other);
  return { codecs: tracks.map((track) => track.codec).join(","), scale: video.scale, first, times, end };
}
