// Judge a bundle: the verdict is per segment and per stream, with every fault and its file, and a list of what was not checked here.

import { Fault, SECOND, fromHex, fromUtf8, join, need, same, toBase64, toHex, toUtf8 } from "./bytes.js";
import { dateAll } from "./dating.js";
import { Faults, checkStanding, examine } from "./examination.js";
import * as files from "./files.js";
import { knowsEd25519 } from "./keys.js";
import { sampleRoot } from "./media.js";
import { parseTrust } from "./notes.js";
import { accountStream, isoTime, reckon, summaryOf } from "./reckoning.js";

// Verify a bundle: `pairs` are [path, File], `trustBytes` the trust file; `progress(done, total)` in bytes.
export async function verifyBundle(pairs, trustBytes, progress = () => {}) {
  need(globalThis.crypto?.subtle, "browser", "this browser offers no WebCrypto here", "此浏览器在此处不提供 WebCrypto");
  need(await knowsEd25519(), "browser", "this browser cannot check Ed25519 signatures (Chromium 137, Firefox 129, Safari 17 or later can)", "此浏览器不能核验 Ed25519 签名(Chromium 137、Firefox 129、Safari 17 及以后的版本可以)");
  const trust = parseTrust(trustBytes), blobs = await files.openBundle(pairs), faults = new Faults();
  const total = [...blobs.values()].reduce((sum, blob) => sum + blob.size, 0), meter = { done: 0 };
  const advance = (count) => progress((meter.done += count), total);
  const small = new Map(), hashed = new Map();
  for (const [name, blob] of blobs)
    if (files.isMember(name) && !files.parseName("video", name) && !files.parseName("sidecar", name)) small.set(name, await files.readWhole(blob, name));
  const shown = await examine(small, trust, faults, () => {});
  const wanted = await reckon(shown, faults), segments = new Map();
  for (const [name, blob] of blobs) {
    const piece = wanted.wanted.get(name), marks = piece ? [...(wanted.streams.get(piece.stream).bound.get(piece.body.number)?.keys() ?? [])] : [];
    const found = await files.hashFile(blob, marks, advance);
    const samples = piece?.body.sample_root && found.data ? await sampleRoot(found.data).catch(readable) : null;
    hashed.set(name, { size: found.size, hash: found.hash, prefixes: found.prefixes, samples });
  }
  checkNames(wanted, hashed, faults);
  await checkListings(wanted, small, hashed, faults);
  checkExport(shown, wanted, hashed, faults);
  checkDerived(shown, wanted, small, hashed, faults);
  checkStanding(shown, faults);
  const times = await dateAll(shown, faults);
  for (const piece of wanted.wanted.values()) segments.set(piece.file, judgeSegment(piece, wanted, hashed.get(piece.file), times, faults));
  const streams = [...wanted.linked.keys()].sort().map((stream) => accountStream(stream, wanted, faults));
  const found = faults.found.sort((one, two) => (one.file < two.file ? -1 : one.file > two.file ? 1 : one.en < two.en ? -1 : 1));
  return {
    task: wanted.task, valid: found.length === 0, faults: found, segments: [...segments.values()], streams, custody: custodyOf(shown), title: wanted.facts?.title ?? null,
    opened: wanted.opened, ended: wanted.ended, checkpointSize: shown.checkpoint?.size ?? null, checkpointTime: shown.checkpointTime, trust,
    unchecked: uncheckedOf(shown, wanted, hashed, [...segments.values()], times),
  };
}

function readable(error) {
  if (error instanceof Fault) return error;
  if (error instanceof RangeError || error instanceof TypeError) return new Fault("mp4", "cut inside a box", "盒子截断");
  throw error;
}

function checkNames(wanted, hashed, faults) {
  for (const name of hashed.keys()) {
    const video = files.parseName("video", name), beside = files.parseName("sidecar", name) && name.replace(/c2pa$/, "mp4");
    if (!files.isMember(name)) faults.add(name, "is no file of a bundle: it was added", "不是证据包的文件:是后来加入的");
    else if ((video && !wanted.wanted.has(name)) || (beside && !wanted.wanted.has(beside))) faults.add(name, "is of no segment that belongs to the task: it was added, or its record is missing", "不属于该任务的任何分段:是后来加入的,或缺少其记录");
  }
  for (const name of files.FIXED) if (!hashed.has(name)) faults.add(name, "missing", "缺失");
}

async function checkListings(wanted, small, hashed, faults) {
  const names = [...hashed.keys()];
  if (small.has(files.BAGIT) && !same(small.get(files.BAGIT), toUtf8("BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"))) faults.add(files.BAGIT, "was altered", "被改动");
  const tags = [files.BAGIT, files.BAG_INFO, files.MANIFEST, files.README, ...names.filter((name) => files.READABLE.includes(name))];
  const listings = [[files.TAG_MANIFEST, tags], [files.MANIFEST, names.filter((name) => name.startsWith("data/"))], [files.EVIDENCE, names.filter((name) => files.isEvidence(name, wanted.exportIndex))]];
  for (const [listing, expected] of listings) {
    if (!small.has(listing)) faults.add(listing, "missing", "缺失");
    else await faults.of(listing, () => compareListing(listing, new Set(expected), parseManifest(small.get(listing), listing), hashed, faults));
  }
}

// Read `hash  name` lines in the order of names, each with its end.
function parseManifest(data, where) {
  const lines = fromUtf8(data, where).split("\n"), found = new Map();
  need(lines.pop() === "" && lines.length, where, "is empty, or the last line has no end", "为空,或末行不完整");
  let before = "";
  lines.forEach((line, at) => {
    const match = /^([0-9a-f]{64})  ([\x21-\x7e]{1,160})$/.exec(line);
    need(match && match[2] > before, where, `line ${at + 1} is not \`hash  name\`, or out of order`, `第 ${at + 1} 行不是“哈希  文件名”,或次序错误`);
    found.set(match[2], match[1]);
    before = match[2];
  });
  return found;
}

function compareListing(listing, expected, listed, hashed, faults) {
  for (const name of new Set([...expected, ...listed.keys()])) {
    if (!hashed.has(name)) faults.add(name, `missing: ${listing} lists it`, `缺失:${listing} 列有此文件`);
    else if (!listed.has(name)) faults.add(name, `is not listed in ${listing}: it was added`, `${listing} 未列此文件:是后来加入的`);
    else if (!expected.has(name)) faults.add(listing, `lists ${name}, which does not belong there`, `列有不应列入的 ${name}`);
    else if (listed.get(name) !== hashed.get(name).hash) faults.add(name, `was altered: its hash is not the one in ${listing}`, `被改动:哈希与 ${listing} 不符`);
  }
}

function checkExport(shown, wanted, hashed, faults) {
  if (wanted.exportIndex === null) {
    faults.add("data/log", "missing: no record of this export", "缺失:没有本次导出的记录");
    return;
  }
  const { record } = shown.leaves.get(wanted.exportIndex), file = `data/log/${wanted.exportIndex}.cose`;
  const count = [...hashed.keys()].filter((name) => files.isEvidence(name, wanted.exportIndex)).length;
  if (record.subject !== wanted.task) faults.add(file, `is of task ${record.subject}`, `属于任务 ${record.subject}`);
  if (hashed.has(files.EVIDENCE) && toHex(record.body.manifest) !== hashed.get(files.EVIDENCE).hash) faults.add(files.EVIDENCE, "is not the manifest that the export record names", "不是导出记录写明的清单");
  if (record.body.files !== count) faults.add(file, `names ${record.body.files} files of evidence, ${count} are here`, `写明 ${record.body.files} 个证据文件,实有 ${count} 个`);
}

// ----------------------------------------------------------------------------------------------------------------------- segments

function judgeSegment(piece, wanted, found, times, faults) {
  const { body, file } = piece, bound = wanted.streams.get(piece.stream).bound.get(body.number) ?? new Map();
  const samples = samplesOf(body, found);
  let integrity = "ok";
  if (!found) {
    integrity = "missing";
    faults.add(file, "missing: its record is in the journal", "缺失:日志中有其记录");
  } else if (found.size !== body.size || found.hash !== toHex(body.sha256)) {
    integrity = "altered";
    const kept = samples === "ok";
    faults.add(file, `is not the file that its record names (size or SHA-256)${kept ? "; its samples are those recorded, the container was changed" : ""}`, `不是记录写明的文件(大小或 SHA-256 不符)${kept ? ";样本与记录相同,只改动了容器" : ""}`);
  } else {
    if (samples === "altered") faults.add(file, "its samples do not give the sample root of its record, or cannot be read", "其样本得不出记录中的样本根,或无法读取");
    checkBound(piece, bound, found, faults);
  }
  const epoch = body.epoch ?? piece.range.epoch, start = times.at(piece.range.box, epoch, body.mono_from), end = times.at(piece.range.box, epoch, body.mono_to);
  const identity = piece.range.identities.filter(([position]) => position <= piece.record.position).pop()?.[1] ?? "";
  return {
    file, stream: piece.stream, number: body.number, integrity, samples, imported: piece.usage === "import", origin: wanted.streams.get(piece.stream).origin,
    state: body.state, bound: body.bound ?? 0, size: body.size, lost: body.lost ?? 0, wallFrom: body.wall_from, wallTo: piece.claimedEnd,
    start: intervalOf(start, body.wall_from), end: intervalOf(end, piece.claimedEnd), box: piece.range.box, sessionKey: piece.keyId, identityKey: identity,
    signer: piece.range.refused.some(([first, last]) => first <= piece.record.position && piece.record.position <= last) ? "refused" : "counted",
  };
}

function intervalOf([earliest, latest], claimed) {
  const off = earliest !== null && claimed < earliest ? claimed - earliest : latest !== null && claimed > latest ? claimed - latest : 0n;
  return { earliest, latest, claimed, off };
}

function samplesOf(body, found) {
  if (!found) return "missing";
  if (body.sample_root === null) return "not recorded";
  if (found.samples === null) return "not checked";
  if (found.samples instanceof Fault || found.samples.root !== toHex(body.sample_root)) return "altered";
  return String(found.samples.starts) === String(body.starts) ? "ok" : "altered";
}

function checkBound({ body, file }, bound, found, faults) {
  for (const [size, expected] of bound) {
    if (size > body.size) {
      if (body.state === "live") faults.add(file, `a heartbeat bound ${size} bytes, the segment has ${body.size}`, `心跳绑定了 ${size} 字节,而分段只有 ${body.size} 字节`);
    } else if (found.prefixes.get(size) !== toHex(expected)) faults.add(file, `its first ${size} bytes are not those a heartbeat bound`, `前 ${size} 字节不是心跳所绑定的字节`);
  }
  if (body.state === "recovered" && body.bound && !bound.has(body.bound)) faults.add(file, `is said to be bound up to byte ${body.bound}, no heartbeat shown says so`, `据称绑定至第 ${body.bound} 字节,却没有心跳为证`);
}

// Make anew what is derived from the records, and compare: summary, custody list, bag-info.txt, and tokens as files of their own.
function checkDerived(shown, wanted, small, hashed, faults) {
  const made = new Map([[files.SUMMARY, toUtf8(summaryOf(wanted))], [files.CUSTODY, toUtf8(custodyText(shown))]]);
  for (const [index, { record }] of shown.leaves)
    if (record.kind === "time-token") {
      made.set(`data/time/${index}.tsr`, derSequence(fromHex("3003020100"), record.body.token));
      made.set(`data/time/${index}.txt`, toUtf8(`${shown.trust.log.name}\n${record.body.size}\n${toBase64(record.body.root)}\n`));
    }
  if (wanted.exportIndex !== null) {
    const { record } = shown.leaves.get(wanted.exportIndex), payload = [...hashed].filter(([name]) => name.startsWith("data/"));
    const oxum = `${payload.reduce((sum, [, one]) => sum + one.size, 0)}.${payload.length}`, { site, hub } = shown.trust;
    const lines = [
      `Source-Organization: Portwitness ${site}`, `Bagging-Date: ${isoTime(record.wall).slice(0, 10)}`, `Payload-Oxum: ${oxum}`,
      `External-Identifier: ${record.subject}`, `Internal-Sender-Identifier: ${hub}`, "Bag-Software-Agent: Portwitness",
    ];
    made.set(files.BAG_INFO, toUtf8(lines.map((line) => `${line}\n`).join("")));
  }
  for (const name of new Set([...made.keys(), ...[...small.keys()].filter((one) => one.startsWith("data/time/"))])) {
    if (!small.has(name)) faults.add(name, "missing", "缺失");
    else if (!same(small.get(name), made.get(name))) faults.add(name, "is not what the records shown give", "与所出示的记录不符");
  }
}

function derSequence(...parts) {
  const body = join(...parts), size = body.length;
  const head = size < 0x80 ? [size] : size < 0x100 ? [0x81, size] : size < 0x10000 ? [0x82, size >> 8, size & 255] : [0x83, size >> 16, (size >> 8) & 255, size & 255];
  return join(Uint8Array.of(0x30, ...head), body);
}

const BLANKS = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

// Who handled the evidence, by the leaves shown.
function custodyOf(shown) {
  const listed = ["concealed", "derived", "disposal", "export", "head-seen", "keeping", "pairing", "task", "view"];
  const out = [];
  for (const [leaf, { record }] of shown.leaves) {
    const { body } = record;
    if (record.role !== "hub" || !listed.includes(record.kind)) continue;
    const details = ["way", "stream", "reason", "detail", "second", "kept_as", "files"].filter((name) => body[name]).map((name) => `${name}: ${body[name]}`);
    if (record.kind === "export" && body.streams) details.push(`streams: ${body.streams.join(" ")}`);
    if (record.kind === "concealed") details.push(`of: ${body.of}`);
    const act = record.kind === "concealed" ? "not shown" : body.state ?? "done";
    out.push({ leaf, wall: record.wall, kind: record.kind, act, person: body.by || body.viewer || "", subject: record.subject, detail: details.join("; ") });
  }
  return out;
}

// data/custody.csv (RFC 4180).
function custodyText(shown) {
  const cell = (text) => {
    const flat = String(text).split(BLANKS).filter(Boolean).join(" "), plain = /^[=+@-]/.test(flat) ? `'${flat}` : flat;
    return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
  };
  const rows = custodyOf(shown).map((one) => [one.leaf, isoTime(one.wall), one.kind, one.act, one.person, one.subject, one.detail]);
  return [["leaf", "time", "record", "act", "person", "subject", "detail"], ...rows].map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

function uncheckedOf(shown, wanted, hashed, segments, times) {
  const names = [...hashed.keys()], some = (form) => names.some((name) => files.parseName(form, name));
  const out = [
    ["that the port log holds no further task, pairing or revocation record about this task or its boxes (ask an auditor of the log)", "总账中没有关于该任务或其边缘盒的其他任务、绑定或吊销记录(请询问总账审计方)"],
    ["what the cameras were shown: a screen filmed by a camera is a true recording of a screen", "摄像机前的场景本身:翻拍屏幕也是对屏幕的真实录像"],
    ["the picture itself: whether it decodes, and what it shows", "画面本身:能否解码,以及拍到了什么"],
  ];
  if (!shown.trust.asks) out.push(["cosignatures of outside witnesses: the trust file asks for none, so the hub alone vouches for the log and its times", "外部见证签名:信任文件未要求,总账及其时间仅由中心担保"]);
  if (shown.passed.length) out.push([`ML-DSA-44 cosignatures of ${shown.passed.join(", ")}; portwitness-verify does`, `${shown.passed.join("、")} 的 ML-DSA-44 见证签名;portwitness-verify 会核验`]);
  const isStamped = [...shown.leaves.values()].some((one) => one.record.kind === "time-token") || some("token");
  if (isStamped) out.push(["RFC 3161 time-stamps, which may narrow the times shown; portwitness-verify does", "RFC 3161 时间戳(可能使时间区间更窄);portwitness-verify 会核验"]);
  if (some("beside") || names.includes(files.CLAIMS[0])) out.push(["the hub's CMS signature over the manifests, and its list of revoked certificates; portwitness-verify and openssl do", "中心对清单的 CMS 签名及吊销列表;portwitness-verify 和 openssl 会核验"]);
  if (some("sidecar")) out.push(["C2PA manifests beside the segments, but for their hashes; any C2PA validator does", "分段旁的 C2PA 清单(只核对了哈希);任何 C2PA 核验工具都可核验"]);
  if (names.includes(files.CLOCK)) out.push([`${files.CLOCK}, but for its hash; portwitness-verify makes it anew`, `${files.CLOCK}(只核对了哈希);portwitness-verify 会重新生成`]);
  if (names.some((name) => files.READABLE.includes(name))) out.push(["the report and this page as they lie in the bundle, but for their hashes: they are no evidence", "证据包内的报告和本页(只核对了哈希):它们本身不是证据"]);
  if (segments.some((one) => one.samples === "not recorded")) out.push(["for some segments: their samples apart from their files (their records have no sample root)", "部分分段:独立于文件的样本(其记录没有样本根)"]);
  if (segments.some((one) => one.samples === "not checked")) out.push(["for segments of more than 64 MiB: their samples; portwitness-verify does", "超过 64 MiB 的分段的样本;portwitness-verify 会核验"]);
  if (segments.some((one) => one.start.earliest === null)) out.push(["for some segments: a time before which they cannot have been made", "部分分段:不早于何时"]);
  if (segments.some((one) => one.end.latest === null)) out.push(["for some segments: a time after which they cannot have been made (no time is cosigned)", "部分分段:不晚于何时(没有见证时间)"]);
  const concealed = [...shown.leaves.values()].filter((one) => one.record.kind === "concealed").length;
  if (concealed) out.push([`what ${concealed} concealed records say: they stand in the log, their bodies are not shown`, `${concealed} 条隐藏记录的内容:它们在总账中,但内容未出示`]);
  const off = segments.flatMap((one) => [one.start.off, one.end.off]).reduce((worst, one) => ((one < 0n ? -one : one) > (worst < 0n ? -worst : worst) ? one : worst), 0n);
  if (off) out.push([`the box's clock, which was wrong by ${Number(off) / Number(SECOND)} s or more: the times of segments are their intervals`, `边缘盒时钟至少偏差 ${Number(off) / Number(SECOND)} 秒:分段的时间以区间为准`]);
  for (const ranges of shown.ranges.values())
    ranges.slice(0, -1).forEach((before, at) => {
      const boot = ranges[at + 1].records[0]?.record, known = boot?.kind === "boot" ? boot.body.previous_size ?? 0 : 0;
      const sealed = before.sealed.reduce((most, [position]) => Math.max(most, position), known);
      if (sealed < before.end) out.push([`${before.file}: records from position ${sealed} on are signed, but in no tree that was sealed or booted from`, `${before.file}:位置 ${sealed} 起的记录已签名,但不在任何封印或启动所指的树中`]);
    });
  return [...out, ...times.notes].map(([en, zh]) => ({ en, zh }));
}
