// When things happened, as intervals (docs/adr/0010): bounds by checkpoints that records name and by seals that the log holds, carried
// along the monotonic clock of one boot at a drift of 200 ppm; RFC 3161 tokens are left to portwitness-verify, which only narrows.
// All times: BigInt ns.

import { MILLISECOND, SECOND, need, same } from "./bytes.js";
import { CHECKPOINT } from "./files.js";
import { hubLeaves } from "./examination.js";
import { cosigners, parseCheckpoint } from "./notes.js";

const DRIFT_PPM = 200n, STEP = 200n * MILLISECOND, ANNOUNCE = 5n * SECOND;
// UTC may repeat or leave out a second at the end of June and of December (ITU-R TF.460).
const LEAPS = Array.from({ length: 2 * (2200 - 1972) }, (_, at) => BigInt(Date.UTC(1972 + Math.floor(at / 2), at % 2 ? 6 : 0, 1)) * MILLISECOND);

function leapSlack(one, two) {
  const [start, end] = one < two ? [one, two] : [two, one];
  return LEAPS.some((leap) => leap >= start - 2n * SECOND && leap <= end + 2n * SECOND) ? SECOND : 0n;
}

const magnitude = (value) => (value < 0n ? -value : value);

// A bound carried to another instant of its boot.
function carry(bound, mono, isLower) {
  const length = mono - bound.mono, drift = (magnitude(length) * DRIFT_PPM + 999999n) / 1000000n;
  const slack = drift + leapSlack(bound.time, bound.time + length);
  return bound.time + length + (isLower ? -slack : slack);
}

class BootTimes {
  constructor(lower, upper) {
    this.lower = lower;
    this.upper = upper;
    this.believed = upper.every((high) => {
      const low = this.tightest(lower, high.mono, true);
      return low === null || low <= high.time;
    });
  }

  tightest(bounds, mono, isLower) {
    let best = null;
    for (const one of bounds) {
      const time = carry(one, mono, isLower);
      if (best === null || (isLower ? time > best : time < best)) best = time;
    }
    return best;
  }

  byOrder(bounds, mono, isLower) {
    let best = null;
    for (const one of bounds)
      if ((isLower ? one.mono <= mono : one.mono >= mono) && (best === null || (isLower ? one.time > best : one.time < best))) best = one.time;
    return best;
  }

  at(mono) {
    const find = (this.believed ? this.tightest : this.byOrder).bind(this);
    const [low, high] = [find(this.lower, mono, true), find(this.upper, mono, false)];
    return low !== null && high !== null && low > high ? [high, low] : [low, high];
  }
}

// What is known of when the port log had which size.
async function logTimes(shown, faults) {
  const after = hubLeaves(shown).map(([index, wall]) => ({ size: index + 1, time: wall })), by = [];
  for (const note of shown.notes.values())
    await faults.of(shown.checkpoint && note.size === shown.checkpoint.size ? CHECKPOINT : `data/log/seen-${note.size}.checkpoint`, async () => {
      for (const [who, seconds] of await cosigners(shown.trust, note)) {
        const time = BigInt(seconds) * SECOND;
        by.push({ size: note.size, time: time + SECOND });
        if (who === "the hub") after.push({ size: note.size, time }); // it cosigns what it makes at that moment
      }
    });
  const lower = after.map((one) => ({ size: one.size, time: one.time - leapSlack(one.time, one.time) })).sort((one, two) => one.size - two.size);
  const upper = by.map((one) => ({ size: one.size, time: one.time + leapSlack(one.time, one.time) }));
  const best = (found, pick) => (found.length ? found.reduce((one, two) => (pick(two, one) ? two : one)) : null);
  const before = new Map(), behind = new Map(); // answers, by size
  return {
    notBefore(size) {
      if (!before.has(size)) before.set(size, best(lower.filter((one) => one.size <= size).map((one) => one.time), (two, one) => two > one));
      return before.get(size);
    },
    notAfter(index) {
      if (!behind.has(index)) behind.set(index, best(upper.filter((one) => one.size > index).map((one) => one.time), (two, one) => two < one));
      return behind.get(index);
    },
  };
}

// Give at(box, epoch, mono) -> [earliest, latest]; null where nothing bounds. Faults name clocks that contradict the records.
export async function dateAll(shown, faults) {
  const log = await logTimes(shown, faults), boots = new Map(), notes = [];
  for (const [box, ranges] of shown.ranges) {
    const heads = await headsOf(box, shown, log, faults);
    const lines = ranges.filter((range) => range.records.length).map((range) => lineOf(range, shown, log, heads.get(range.epoch) ?? []));
    joinLines(lines);
    for (const line of lines) {
      const root = rootOf(line);
      root.times ??= new BootTimes(root.lower, root.upper);
      boots.set(`${box}/${line.range.epoch}`, root.times);
      if (!root.times.believed) notes.push([`${line.range.file}: the monotonic clock contradicts the log; times are bounded by order alone`, `${line.range.file}:单调时钟与总账矛盾,时间仅由先后次序限定`]);
      watchWall(line.range, faults);
    }
  }
  return { at: (box, epoch, mono) => boots.get(`${box}/${epoch}`)?.at(mono) ?? [null, null], notes };
}

function rootOf(line) {
  while (line.continues) line = line.continues;
  return line;
}

function lineOf(range, shown, log, heads) {
  const lower = [], upper = [];
  let last = -1;
  for (const { record } of range.records) {
    if (!record.seen || record.seen.size === last || !same(shown.seen.get(record.seen.size), record.seen.root)) continue;
    last = record.seen.size;
    const time = log.notBefore(last);
    if (time !== null) lower.push({ mono: record.mono, time });
  }
  for (const [position, time] of [...range.sealed.map(([place, index]) => [place, log.notAfter(index)]), ...heads])
    if (time !== null) upper.push({ mono: range.records[position - range.first].record.mono, time });
  return { range, lower, upper, continues: null, times: null };
}

// Carry bounds from epoch to epoch: a boot comes after what it names of the epoch before, and a seal over it covers that.
function joinLines(lines) {
  const bootId = (line) => (line.range.records[0].record.kind === "boot" ? line.range.records[0].record.body.boot_id : null);
  const pairs = lines.slice(1).map((after, at) => [lines[at], after]);
  for (const [before, after] of pairs)
    if (bootId(before) && same(bootId(before), bootId(after))) {
      after.continues = before;
      rootOf(before).lower.push(...after.lower);
      rootOf(before).upper.push(...after.upper);
    }
  const times = (line) => new BootTimes(rootOf(line).lower, rootOf(line).upper), first = (line) => line.range.records[0].record.mono;
  for (const [before, after] of pairs) {
    const mono = lastNamed(before, after), found = mono !== null && !after.continues ? times(before).at(mono)[0] : null;
    if (found !== null) rootOf(after).lower.push({ mono: first(after), time: found });
  }
  for (const [before, after] of pairs.reverse()) {
    const mono = lastNamed(before, after), found = mono !== null && !after.continues ? times(after).at(first(after))[1] : null;
    if (found !== null) rootOf(before).upper.push({ mono, time: found });
  }
}

// The monotonic instant of the last record that the next boot names; null when it names none that is shown.
function lastNamed(before, after) {
  const { kind, body } = after.range.records[0].record;
  const size = kind === "boot" && body.previous_epoch === before.range.epoch ? body.previous_size ?? 0 : 0;
  return before.range.records[size - 1 - before.range.first]?.record.mono ?? null;
}

// Heads that were brought by hand: Map(epoch -> [last position, time]).
async function headsOf(box, shown, log, faults) {
  const found = new Map();
  for (const [index, { record }] of shown.leaves) {
    if (record.kind !== "head-seen" || record.subject !== box) continue;
    await faults.of(`data/log/${index}.cose`, () => {
      const head = parseCheckpoint(record.body.note), { epoch } = record.body;
      const range = shown.ranges.get(box).find((one) => one.epoch === epoch), time = log.notAfter(index);
      if (!range || !(range.first < head.size && head.size <= range.end) || time === null) return;
      const root = head.size === range.end ? range.root : range.records[head.size - range.first].record.root;
      need(head.origin === `portwitness.box/${box}/${epoch}` && same(head.root, root), box, "a head brought by hand is of another journal than the one shown", "人工带来的日志末端与所出示的日志不符");
      found.set(epoch, [...(found.get(epoch) ?? []), [head.size - 1, time]]);
    });
  }
  return found;
}

// Demand a clock-step record for each move of the wall clock against the monotonic one, once the box beats.
function watchWall(range, faults) {
  let offset = null, since = null, beats = false;
  for (const { record } of range.records) {
    beats ||= ["heartbeat", "recording"].includes(record.kind);
    if (!beats) continue;
    const now = record.wall - record.mono;
    if (offset === null || record.kind === "clock-step") [offset, since] = [now, null];
    else if (magnitude(now - offset) <= 2n * STEP) since = null;
    else if (since === null) since = record.mono;
    else if (record.mono - since > ANNOUNCE) {
      const moved = (now - offset) / MILLISECOND;
      faults.add(range.file, `position ${record.position}: the wall clock moved by ${moved} ms against the monotonic one, and no clock-step record says so`, `位置 ${record.position}:挂钟相对单调时钟移动了 ${moved} 毫秒,却没有时钟跳变记录`);
      [offset, since] = [now, null];
    }
  }
}
