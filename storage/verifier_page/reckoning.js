// Work out from checked records what a bundle must hold: which stretches of which streams belong to the task, which segments and gaps
// fill them, and that every instant is in a segment, in a signed gap with its cause, or outside of recording. Times: BigInt ns.

import { MILLISECOND, SECOND, need, same, toHex } from "./bytes.js";

const FOREVER = 1n << 62n;
export const SLACK = 250n * MILLISECOND;
const NAME = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", STREAM = new RegExp(`^${NAME}/${NAME}$`);
const TASK = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$/;

const most = (one, two) => (one > two ? one : two), least = (one, two) => (one < two ? one : two);
export const span = (start, end) => ({ start, end });
const overlaps = (one, two) => one.start < two.end && two.start < one.end;
const byStart = (one, two) => (one.start < two.start ? -1 : one.start > two.start ? 1 : one.end < two.end ? -1 : one.end > two.end ? 1 : 0);

export function isoTime(wall) {
  const seconds = wall >= 0n ? wall / SECOND : (wall - SECOND + 1n) / SECOND;
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime()) || date.getUTCFullYear() < 1 || date.getUTCFullYear() > 9999) return `${seconds} s after 1970`;
  return `${date.toISOString().slice(0, 19)}.${String((wall - seconds * SECOND) / MILLISECOND).padStart(3, "0")}Z`;
}

function boxOf(text) {
  need(STREAM.test(text), "stream id", "is no stream of a box", "不是边缘盒的视频流");
  return text.split("/")[0];
}

export function mergeSpans(spans) {
  const out = [];
  for (const one of [...spans].sort(byStart)) {
    const last = out[out.length - 1];
    if (last && one.start <= last.end) last.end = most(last.end, one.end);
    else out.push({ ...one });
  }
  return out;
}

export function clipSpans(spans, period) {
  return spans.filter((one) => overlaps(one, period)).map((one) => ({ ...one, start: most(one.start, period.start), end: least(one.end, period.end) }));
}

export function subtractSpans(spans, holes) {
  const out = [];
  for (const one of spans) {
    let { start } = one;
    for (const hole of holes) {
      if (hole.end <= start || hole.start >= one.end) continue;
      if (hole.start > start) out.push(span(start, hole.start));
      start = most(start, hole.end);
    }
    if (start < one.end) out.push(span(start, one.end));
  }
  return out;
}

// Give what a bundle must hold: {task, facts, span, linked: Map(stream -> spans), streams, wanted: Map(file -> piece), late, exportIndex, byTime}.
export async function reckon(shown, faults) {
  const exports = [...shown.leaves].filter(([, one]) => one.record.kind === "export").map(([index]) => index);
  const exportIndex = exports.length ? exports[exports.length - 1] : null;
  const about = await subjectOf(exportIndex, shown, faults);
  const streams = new Map(), bonds = [];
  for (const [box, ranges] of [...shown.ranges].sort((one, two) => (one[0] < two[0] ? -1 : 1))) {
    let usage = "live";
    for (const range of ranges)
      for (const signed of range.records) {
        if (signed.record.kind === "session") usage = signed.record.body.usage;
        await faults.of(range.file, () => takeWords(range, signed, usage, streams));
      }
    if (about.task !== null && !about.byTime) bonds.push(...(await bondsOf(about.task, box, ranges, shown, faults)));
  }
  const linked = stretchesOf(about, bonds), wanted = new Map();
  checkReach(linked, shown, faults);
  for (const stream of [...linked.keys()].sort()) {
    const known = streamOf(streams, stream), box = stream.split("/")[0];
    if (!shown.ranges.has(box)) faults.add(`data/journals/${box}-0.bin`, `missing: no journal of ${box}, whose ${stream} belongs to the task`, `缺失:没有 ${box} 的日志,而 ${stream} 属于该任务`);
    else if (shown.ranges.get(box).some((one) => one.first === 0)) known.before ??= false;
    checkNumbers(stream, known, faults);
    for (const piece of known.pieces) if (linked.get(stream).some((one) => overlaps(one, piece))) wanted.set(piece.file, piece);
  }
  return { ...about, linked, streams, wanted, exportIndex, late: new Set(bonds.filter((one) => one.late !== null).map((one) => one.stream)) };
}

async function subjectOf(exportIndex, shown, faults) {
  const record = exportIndex === null ? null : shown.leaves.get(exportIndex).record;
  if (record?.body.streams) {
    const found = await faults.of(`data/log/${exportIndex}.cose`, () => {
      const { streams, start_ns: start, end_ns: end } = record.body;
      need(streams.length && start !== null && end !== null && start <= end, "export", "names no streams or no stretch of time", "没有写明视频流或时间段");
      streams.forEach(boxOf);
      return { byTime: true, facts: null, opened: start, ended: end, cameras: streams };
    });
    if (found) {
      const isNamed = await faults.of("data/log", () => need(TASK.test(record.subject), "task id", "is none", "格式错误") ?? true);
      return { ...found, task: isNamed ? record.subject : null };
    }
  }
  return taskOf(record?.subject ?? null, shown, faults);
}

async function taskOf(name, shown, faults) {
  const found = {};
  for (const [index, { record }] of shown.leaves)
    if (record.kind === "task" && record.subject === name) {
      if (found[record.body.state]) faults.add(`data/log/${index}.cose`, `the task is ${record.body.state} twice`, `任务重复${record.body.state === "opened" ? "开始" : "结束"}`);
      found[record.body.state] ??= [index, record];
    }
  const lacks = ["opened", "ended"].filter((state) => !found[state]);
  if (lacks.length) faults.add("data/log", `missing: no record that the task was ${lacks.join(" and ")}`, "缺失:没有任务开始或结束的记录");
  if (!found.opened) return { byTime: false, task: null, facts: null, opened: 0n, ended: 0n, cameras: [] };
  const [index, { wall, body, subject }] = found.opened;
  const out = { byTime: false, task: null, facts: body, opened: wall, ended: found.ended ? most(wall, found.ended[1].wall) : null, cameras: [] };
  await faults.of(`data/log/${index}.cose`, () => {
    need(TASK.test(subject), "task id", "is none", "格式错误");
    out.task = subject;
    (body.cameras ?? []).forEach(boxOf);
    out.cameras = body.cameras ?? [];
  });
  return out;
}

function streamOf(streams, name) {
  if (!streams.has(name)) streams.set(name, { pieces: [], gaps: [], turns: [], open: new Map(), bound: new Map(), origin: "unknown", before: null });
  return streams.get(name);
}

function takeWords(range, { record, envelope }, usage, streams) {
  const { body } = record;
  const own = (name) => {
    need(boxOf(name) === range.box, range.file, `${range.box} speaks for ${name}`, `${range.box} 代 ${name} 发言`);
    return streamOf(streams, name);
  };
  if (record.kind === "heartbeat")
    for (const one of body.open) {
      const stream = own(one.stream), offset = record.wall - record.mono;
      stream.before ??= true;
      stream.open.set(one.number, span(one.mono_from + offset, most(one.mono_from, one.mono_to) + offset));
      if (!stream.bound.has(one.number)) stream.bound.set(one.number, new Map());
      const bound = stream.bound.get(one.number);
      if (!bound.has(one.size)) bound.set(one.size, one.sha256);
      need(same(bound.get(one.size), one.sha256), one.stream, `two heartbeats bind different bytes of segment ${one.number}`, `两次心跳绑定了分段 ${one.number} 的不同字节`);
    }
  else if (record.kind === "segment") {
    const stream = own(record.subject), end = body.wall_from + body.mono_to - body.mono_from;
    stream.before ??= true;
    stream.pieces.push({
      stream: record.subject, file: `data/video/${record.subject}/${body.number}.mp4`, start: body.wall_from, end: most(body.wall_from, end), claimedEnd: end,
      body, record, range, usage, keyId: envelope.keyId,
    });
  } else if (record.kind === "gap") {
    const stream = own(record.subject);
    stream.before ??= true;
    stream.gaps.push({ start: body.wall_from, end: most(body.wall_from, body.wall_to), cause: body.cause });
  } else if (record.kind === "recording") {
    const stream = own(record.subject);
    stream.before ??= body.state === "stopped";
    stream.turns.push([record.wall, body.state]);
    stream.origin = body.origin;
  }
}

async function bondsOf(task, box, ranges, shown, faults) {
  const orders = new Map([...shown.leaves.values()].filter((one) => one.record.kind === "pairing").map((one) => [toHex(one.leaf), one.record]));
  const began = new Map(), used = new Set(), out = [];
  for (const range of ranges)
    for (const { record } of range.records) {
      if (record.kind !== "pairing" || record.subject !== task) continue;
      await faults.of(range.file, () => {
        const { body } = record, where = `${body.stream} ${body.state} at position ${record.position}`, order = body.order && toHex(body.order);
        need(boxOf(body.stream) === box, where, `${box} speaks for another box`, `${box} 代其他边缘盒发言`);
        if (order === null && body.state === "unpaired") return; // the end of the task frees a recorder; it ends no bond
        need(order !== null, where, "names no order", "没有写明指令");
        const told = orders.get(order);
        need(told, where, `its order (leaf ${order.slice(0, 16)}...) is missing from data/log`, "总账中缺少其指令");
        need(told.role === "hub" && told.subject === task, where, "its order is about another task", "其指令属于另一任务");
        const alike = told.kind === "pairing" && Object.keys(body).every((field) => field === "order" || told.body[field] === body[field]);
        need(alike && told.body.order === null, where, "its order says something else", "其指令内容不同");
        need(body.late_from === null || (body.second && body.second !== body.by && body.reason?.trim()), "pairing", "a late pairing needs a second person and a reason", "补绑定需要第二人和理由");
        need(!used.has(order), where, "its order was used before", "其指令已被使用");
        used.add(order);
        if (body.state === "paired") began.set(body.stream, [...(began.get(body.stream) ?? []), [record.wall, body.late_from]]);
        else {
          for (const [start, late] of began.get(body.stream) ?? []) out.push({ stream: body.stream, start, end: most(start, record.wall), late });
          began.delete(body.stream);
        }
      });
    }
  for (const [stream, found] of began) for (const [start, late] of found) out.push({ stream, start, end: null, late });
  return out;
}

function stretchesOf(about, bonds) {
  const end = about.ended ?? FOREVER, found = new Map();
  const add = (stream, start, until) => found.set(stream, [...(found.get(stream) ?? []), span(start, most(start, until))]);
  for (const camera of about.cameras) add(camera, about.opened, end);
  for (const bond of bonds) add(bond.stream, bond.late === null ? bond.start : least(bond.start, bond.late), least(end, bond.end ?? FOREVER));
  for (const [stream, spans] of found) found.set(stream, mergeSpans(spans));
  return found;
}

function checkReach(linked, shown, faults) {
  for (const [stream, spans] of linked) {
    const ranges = shown.ranges.get(stream.split("/")[0]) ?? [];
    const first = ranges[0]?.records[0]?.record, lastRange = ranges[ranges.length - 1], last = lastRange?.records[lastRange.records.length - 1]?.record;
    if (!first || !last || !spans.length) continue;
    const newborn = first.kind === "boot" && first.body.previous_epoch === null;
    if (first.wall > spans[0].start && !newborn) faults.add(ranges[0].file, `begins at ${isoTime(first.wall)}, ${stream} belongs to the task from ${isoTime(spans[0].start)}`, `始于 ${isoTime(first.wall)},而 ${stream} 自 ${isoTime(spans[0].start)} 起属于任务`);
    const { end } = spans[spans.length - 1];
    if (last.wall < end && end < FOREVER) faults.add(lastRange.file, `ends at ${isoTime(last.wall)}, ${stream} belongs to the task until ${isoTime(end)}`, `止于 ${isoTime(last.wall)},而 ${stream} 至 ${isoTime(end)} 属于任务`);
  }
}

function checkNumbers(stream, known, faults) {
  const ranges = new Set();
  known.pieces.forEach((piece, at) => {
    ranges.add(piece.range);
    const before = known.pieces[at - 1]?.body.number, { number } = piece.body;
    if (before === undefined) return;
    for (let lost = before + 1; lost < Math.min(number, before + 10); lost++) faults.add(`data/video/${stream}/${lost}.mp4`, `missing: no record of segment ${lost}, the next is ${number}`, `缺失:没有分段 ${lost} 的记录,其后是 ${number}`);
    if (number <= before) faults.add(piece.range.file, `${stream}: segment ${number} follows ${before}`, `${stream}:分段 ${number} 出现在 ${before} 之后`);
  });
  for (const range of ranges) {
    let last = null;
    for (const { record } of range.records) {
      if (record.kind === "segment" && record.subject === stream) last = record.body.number;
      else if (record.kind === "seal" && last !== null)
        for (const one of record.body.streams)
          if (one.stream === stream && one.number !== last) faults.add(range.file, `the seal at ${record.position} says ${stream} ended at ${one.number}, records at ${last}`, `位置 ${record.position} 的封印称 ${stream} 止于 ${one.number},记录为 ${last}`);
    }
  }
}

// --------------------------------------------------------------------------------------------------------------------- accounting

function idleOf(known) {
  const out = [];
  let since = known.before === false ? -FOREVER : null;
  for (const [wall, state] of known.turns) {
    if (state === "stopped" && since === null) since = wall;
    else if (state === "started" && since !== null) {
      out.push(span(since, most(since, wall)));
      since = null;
    }
  }
  if (since !== null) out.push(span(since, FOREVER));
  return mergeSpans(out);
}

const total = (spans) => spans.reduce((sum, one) => sum + one.end - one.start, 0n);

// Account for every instant of a stream that belongs to the task; each hole is a fault that names a segment.
export function accountStream(stream, wanted, faults) {
  const known = wanted.streams.get(stream), stretches = wanted.linked.get(stream), off = idleOf(known), coverage = [];
  for (const stretch of stretches)
    for (const period of subtractSpans([stretch], off)) {
      const soft = [off.some((one) => one.start < period.start && period.start <= one.end + SLACK), off.some((one) => one.start - SLACK <= period.end && period.end < one.end)];
      if (period.end - period.start > SLACK || !(soft[0] || soft[1])) coverage.push(accountPeriod(period, known, soft));
    }
  for (const one of coverage) for (const hole of one.unexplained) nameHole(stream, known, hole, faults);
  const whole = coverage.reduce((sum, one) => sum + one.period.end - one.period.start, 0n), recorded = coverage.reduce((sum, one) => sum + one.recorded, 0n);
  return {
    stream, stretches, idle: stretches.flatMap((one) => clipSpans(off, one)), late: wanted.late.has(stream), recorded,
    gaps: coverage.flatMap((one) => one.gaps), unexplained: coverage.flatMap((one) => one.unexplained), percent: whole ? (100 * Number(recorded)) / Number(whole) : 0,
  };
}

function accountPeriod(period, known, soft) {
  const filled = [];
  for (const one of clipSpans(mergeSpans(known.pieces.map(({ start, end }) => span(start, end))), period)) {
    const last = filled[filled.length - 1];
    if (last && one.start - last.end <= SLACK) last.end = most(last.end, one.end);
    else filled.push({ ...one });
  }
  const gaps = clipSpans(known.gaps, period).sort(byStart), plain = gaps.map(({ start, end }) => span(start, end));
  const explained = mergeSpans([...filled, ...plain]), lost = total(subtractSpans(mergeSpans(plain), filled));
  const unexplained = subtractSpans([period], explained).filter((one) => one.end - one.start > SLACK);
  let recorded = period.end - period.start - lost - total(unexplained);
  // where the task begins or ends while the stream goes on, a piece must reach over that instant or stand just beyond
  const pieces = [...known.pieces, ...known.gaps], within = pieces.filter((one) => overlaps(one, period)), holes = [];
  if (!soft[0] && !pieces.some((one) => one.start <= period.start && period.start <= one.end + SLACK)) holes.push(span(period.start, within.map((one) => one.start).reduce(least, period.end)));
  if (!soft[1] && !pieces.some((one) => one.start - SLACK <= period.end && period.end <= one.end)) holes.push(span(within.map((one) => one.end).reduce(most, period.start), period.end));
  const usable = holes.filter((one) => one.end >= one.start);
  const more = mergeSpans(usable).filter((one) => !unexplained.some((hole) => overlaps(hole, one)));
  recorded -= total(more);
  return { period, recorded, gaps, unexplained: [...unexplained, ...more].sort(byStart) };
}

function nameHole(stream, known, hole, faults) {
  const closed = new Set(known.pieces.map((one) => one.body.number));
  const seen = [...known.open].filter(([number, one]) => !closed.has(number) && overlaps(one, hole)).map(([number]) => number).sort((one, two) => one - two);
  const before = known.pieces.filter((one) => one.start < hole.start);
  const number = seen.length ? seen[0] : before.length ? before[before.length - 1].body.number + 1 : 0, ms = (hole.end - hole.start) / MILLISECOND;
  const [from, to] = [isoTime(hole.start), isoTime(hole.end)];
  faults.add(`data/video/${stream}/${number}.mp4`, `missing: ${ms} ms from ${from} to ${to} are in neither a segment nor a signed gap`, `缺失:${from} 至 ${to} 的 ${ms} 毫秒既不在分段中,也不在签名的缺口中`);
}

// data/task.json as the records give it: every key in order, two blanks of indent.
export function summaryOf(wanted) {
  const numbers = {};
  for (const piece of wanted.wanted.values()) (numbers[piece.stream] ??= []).push(piece.body.number);
  for (const found of Object.values(numbers)) found.sort((one, two) => one - two);
  const { facts } = wanted;
  const value = {
    about: wanted.byTime ? "streams over a time" : "task",
    bay: facts?.bay ?? null, ended: wanted.ended === null ? null : isoTime(wanted.ended), facts: Object.fromEntries(facts?.facts ?? []),
    inspectors: facts?.inspectors ?? [], opened: isoTime(wanted.opened), segments: numbers, task: wanted.task, title: facts?.title ?? null,
  };
  return `${writeJson(value, "\n")}\n`;
}

// JSON with sorted keys, two blanks of indent.
function writeJson(value, line) {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const isList = Array.isArray(value), inner = `${line}  `;
  const parts = isList ? value.map((one) => writeJson(one, inner)) : Object.keys(value).sort().map((key) => `${JSON.stringify(key)}: ${writeJson(value[key], inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  return parts.length ? `${open}${inner}${parts.join(`,${inner}`)}${line}${close}` : open + close;
}
