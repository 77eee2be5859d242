// Check every signature and proof of a bundle's records: checkpoint, leaves of the port log, certificates, journal ranges, seals, and by
// the log whether each key counted when it signed. Nothing in a bundle is believed; faults are collected with their files.

import { Fault, SECOND, need, same, toHex } from "./bytes.js";
import { CHECKPOINT, ROOT, SITE_CA, parseName } from "./files.js";
import { checkBox, checkSignature, keyFromEd25519, parseCertificate, parsePem } from "./keys.js";
import { checkCheckpoint, checkNote, checkSeal, parseCheckpoint, parseConsistency, parseProof } from "./notes.js";
import { parseRange, readRecord, revealRecord, splitRecords } from "./records.js";
import { Frontier, checkConsistency, checkInclusion, rootBefore } from "./trees.js";

export class Faults {
  constructor() {
    this.found = [];
    this.known = new Set();
  }

  add(file, en, zh) {
    const key = `${file}\n${en}`;
    if (this.known.has(key) || this.found.length >= 1000) return;
    this.known.add(key);
    this.found.push({ file, en, zh });
  }

  // Run `work`; note a Fault of it as a fault of `file`. Gives what `work` gives, undefined after a fault.
  async of(file, work) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add(file, `${error.where}: ${error.en}`, `${error.where}:${error.zh}`);
      return undefined;
    }
  }
}

function get(files, name) {
  need(files.has(name), name, "missing", "缺失");
  return files.get(name);
}

// Give what a bundle shows: {checkpoint, checkpointTime, leaves, signings, ranges, seen, notes, passed}.
export async function examine(files, trust, faults, progress) {
  const shown = { trust, checkpoint: null, checkpointTime: null, leaves: new Map(), signings: new Map(), ranges: new Map(), seen: new Map(), notes: new Map(), passed: [] };
  await faults.of(CHECKPOINT, async () => {
    const checkpoint = parseCheckpoint(get(files, CHECKPOINT)), judged = await checkCheckpoint(trust, checkpoint);
    Object.assign(shown, { checkpoint, passed: judged.passed, checkpointTime: judged.seconds === null ? null : BigInt(judged.seconds) * SECOND });
    shown.notes.set(checkpoint.size, checkpoint);
  });
  for (const name of [...files.keys()].sort()) {
    const leaf = parseName("leaf", name);
    if (leaf?.[2] === "cose")
      await faults.of(name, async () => shown.leaves.set(Number(leaf[1]), await examineLeaf(Number(leaf[1]), name, files, shown, faults)));
    else if (leaf && !files.has(`data/log/${leaf[1]}.cose`)) faults.add(`data/log/${leaf[1]}.cose`, "missing: its proof or opening is there", "缺失:只有它的证明或内容");
  }
  shown.leaves = new Map([...shown.leaves].sort((one, two) => one[0] - two[0]));
  await examineEnrolments(files, shown, faults);
  await examineJournals(files, shown, faults, progress);
  findSeals(shown, faults);
  await checkEpochs(shown, faults);
  await checkSeen(files, shown, faults);
  return shown;
}

async function examineLeaf(index, name, files, shown, faults) {
  const { trust } = shown, signed = readRecord(files.get(name)), { record } = signed, proofName = `data/log/${index}.tlog-proof`;
  await faults.of(proofName, async () => {
    const proof = parseProof(get(files, proofName));
    need(proof.index === index && same(proof.checkpoint, files.get(CHECKPOINT)), "proof", "is of another leaf or another checkpoint", "属于另一个叶或另一个检查点");
    if (shown.checkpoint === null) return;
    checkInclusion(signed.leaf, index, shown.checkpoint.size, proof.path, shown.checkpoint.root);
    if (record.role === "hub") need(same(record.root, rootBefore(index, shown.checkpoint.size, proof.path)), name, "the record names another tree before it", "记录写明的前一棵树不同");
  });
  if (record.role === "hub") {
    need(record.name === trust.hub && record.position === index && record.epoch === 0, "record", `issued by ${record.issuer} at position ${record.position}`, `由 ${record.issuer} 签发于位置 ${record.position}`);
    need(signed.envelope.algorithm === trust.log.key.algorithm, "signature", "signed with another algorithm", "签名算法不同");
    await checkSignature(trust.log.key, signed.envelope.signature, signed.envelope.signed);
  } else need(record.role === "box" && record.kind === "seal", "record", `a ${record.kind} of ${record.issuer} is no leaf of the port log`, `${record.issuer} 的 ${record.kind} 不是总账条目`);
  const openingName = `data/log/${index}.opening`;
  return (files.has(openingName) && (await faults.of(openingName, () => revealRecord(signed, files.get(openingName))))) || signed;
}

async function examineEnrolments(files, shown, faults) {
  const others = [];
  for (const name of [ROOT, SITE_CA])
    await faults.of(name, () => {
      const one = parsePem(get(files, name), "certificates");
      need(name !== ROOT || one.fingerprint === shown.trust.rootSha256, "root", `fingerprint ${one.fingerprint.slice(0, 16)}... is not the trusted root's`, `指纹 ${one.fingerprint.slice(0, 16)}… 不是所信任的根证书`);
      others.push(one);
    });
  for (const [index, { record }] of shown.leaves)
    if (record.kind === "enrolment") await faults.of(`data/log/${index}.cose`, () => enrol(index, record, others, shown));
}

async function enrol(index, record, others, shown) {
  const certificate = parseCertificate(record.body.certificate), box = record.subject;
  if (!shown.signings.has(box)) shown.signings.set(box, []);
  const known = shown.signings.get(box), mine = known.filter((one) => same(one.certificate.der, certificate.der));
  if (record.body.state === "revoked") {
    for (const one of mine) one.until ??= index;
    return;
  }
  need(mine.every((one) => one.until === null), `enrolment of ${box}`, "a revoked certificate cannot be enrolled again", "已吊销的证书不能再次登记");
  const identity = await checkBox(certificate, others, shown.trust.rootSha256, record.wall);
  need(identity.box === box && identity.site === shown.trust.site, `enrolment of ${box}`, "certificate is for another box or site", "证书属于其他边缘盒或口岸");
  known.push({ certificate, index, until: null, imports: identity.imports });
}

// ----------------------------------------------------------------------------------------------------------------------- journals

async function examineJournals(files, shown, faults, progress) {
  const places = new Map();
  for (const name of files.keys()) {
    const found = parseName("journal", name);
    if (found) places.set(`${found[1]}-${found[2]}`, [found[1], Number(found[2])]);
  }
  for (const [box, epoch] of [...places.values()].sort((one, two) => (one[0] < two[0] ? -1 : one[0] > two[0] ? 1 : one[1] - two[1]))) {
    const name = `data/journals/${box}-${epoch}.bin`, rangeName = `data/journals/${box}-${epoch}.range`;
    await faults.of(rangeName, async () => {
      const place = parseRange(get(files, rangeName));
      await faults.of(name, async () => {
        const range = await follow({ box, epoch, name }, place, get(files, name), shown, faults, progress);
        if (!shown.ranges.has(box)) shown.ranges.set(box, []);
        shown.ranges.get(box).push(range);
      });
    });
  }
}

async function follow({ box, epoch, name }, place, data, shown, faults, progress) {
  const keysFor = (imports) => (shown.signings.get(box) ?? []).filter((one) => one.imports === imports).map((one) => one.certificate.key);
  const identities = keysFor(false);
  need(identities.length, box, "no enrolment record of this box is shown", "没有出示该边缘盒的登记记录");
  const journal = {
    box, epoch, identities, importers: keysFor(true), frontier: new Frontier(place.first, place.left), session: null, usage: "live", until: 0n,
    lastMono: 0n, counter: null,
  };
  const range = { box, epoch, file: name, first: place.first, records: [], sealed: [], identities: [], refused: [], root: null, whole: false, end: 0 };
  if (place.session !== null) {
    const signed = await openSession(journal, place);
    range.identities.push([-1, signed.envelope.keyId]);
  }
  const checks = [];
  const done = await faults.of(name, async () => {
    for (const one of splitRecords(data)) {
      const signed = readRecord(one);
      checkPlace(journal, signed.record);
      checks.push([signed, keyFor(journal, signed)]);
      if (checks.length === 256) await settle(checks, range, progress);
      await takeRecord(journal, signed);
      if (["boot", "session"].includes(signed.record.kind)) range.identities.push([signed.record.position, signed.envelope.keyId]);
    }
    await settle(checks, range, progress);
    need(range.records.length, `${box} epoch ${epoch}`, "holds no record", "没有记录");
    return true;
  });
  if (!done && checks.length) await faults.of(name, () => settle(checks, range, progress)); // those before the one that was refused
  range.whole = Boolean(done);
  range.end = range.first + range.records.length;
  range.identities = range.identities.filter(([position]) => position < range.end);
  range.root = journal.frontier.root();
  return range;
}

// Check the signatures of a batch in order; records before the first that does not hold are kept.
async function settle(checks, range, progress) {
  const batch = checks.splice(0);
  const results = await Promise.all(batch.map(([signed, key]) => {
    if (signed.envelope.algorithm !== key.algorithm) return new Fault("signature", "signed with another algorithm", "签名算法不同");
    return checkSignature(key, signed.envelope.signature, signed.envelope.signed, `position ${signed.record.position}`).catch((error) => error);
  }));
  results.forEach((error, at) => {
    if (error) throw error;
    range.records.push(batch[at][0]);
  });
  progress(batch.length);
}

async function openSession(journal, place) {
  const signed = readRecord(place.session), { record } = signed;
  need(record.issuer === `box:${journal.box}` && record.epoch === journal.epoch && record.kind === "session", "range.session", "is no session record of this journal", "不是该日志的会话记录");
  checkInclusion(signed.leaf, record.position, place.first, place.path, journal.frontier.root());
  const key = keyFor(journal, signed);
  need(signed.envelope.algorithm === key.algorithm, "signature", "signed with another algorithm", "签名算法不同");
  await checkSignature(key, signed.envelope.signature, signed.envelope.signed);
  openedBy(journal, record.body);
  return signed;
}

function openedBy(journal, body) {
  journal.session = keyFromEd25519(body.key);
  journal.until = body.until_mono_ns;
  journal.usage = body.usage;
}

function checkPlace(journal, record) {
  const where = `${journal.box} epoch ${journal.epoch} position ${record.position}`;
  need(record.issuer === `box:${journal.box}` && record.epoch === journal.epoch, where, `issued by ${record.issuer} epoch ${record.epoch}`, `由 ${record.issuer} 第 ${record.epoch} 纪元签发`);
  need(record.position === journal.frontier.size, where, `expected position ${journal.frontier.size}`, `应为位置 ${journal.frontier.size}`);
  need(same(record.root, journal.frontier.root()), where, "names another tree before it", "写明的前一棵树不同");
  need(record.mono >= journal.lastMono, where, "monotonic time runs backwards", "单调时间倒退");
  need((record.position === 0) === (record.kind === "boot"), where, `${record.kind} is out of place`, `${record.kind} 位置错误`);
  if (["boot", "session"].includes(record.kind)) return;
  const imported = (record.kind === "recording" && record.body.origin === "import") || (record.kind === "segment" && record.body.state === "imported");
  const isImport = journal.usage === "import";
  need(isImport ? imported || record.kind === "gap" : !imported, where, `a ${record.kind} under a session for ${isImport ? "imports" : "live capture"}`, `${isImport ? "导入" : "实时采集"}会话签署了不属于它的 ${record.kind}`);
}

function keyFor(journal, { record, envelope }) {
  const { body } = record, where = `position ${record.position}`;
  if (["boot", "session"].includes(record.kind)) {
    const isImport = record.kind === "session" && body.usage === "import";
    const key = (isImport ? journal.importers : journal.identities).find((one) => one.id === envelope.keyId);
    need(key, where, `key ${envelope.keyId} is no identity of ${journal.box}`, `密钥 ${envelope.keyId} 不是 ${journal.box} 的身份密钥`);
    return key;
  }
  need(journal.session !== null, where, "no session key yet", "尚无会话密钥");
  need(record.mono <= journal.until, where, "session key has ended", "会话密钥已过期");
  return journal.session;
}

async function takeRecord(journal, { record, leaf }) {
  if (record.kind === "session") {
    openedBy(journal, record.body);
  } else if (record.kind === "seal") {
    need(journal.session !== null, `position ${record.position}`, "seal before a session key", "封印早于会话密钥");
    const head = await checkSeal(record.body.note, journal.box, journal.epoch, journal.session);
    need(head.size === record.position && same(head.root, record.root), `${journal.box} position ${record.position}`, "seal names another tree than its journal", "封印写明的树与日志不同");
    const { counter } = record.body;
    need(counter === null || journal.counter === null || counter > journal.counter, `${journal.box} position ${record.position}`, "counter went back: the box was rolled back, or runs twice", "计数器倒退:边缘盒被回滚或重复运行");
    journal.counter = counter ?? journal.counter;
  }
  journal.frontier.append(leaf);
  journal.lastMono = record.mono;
}

// Find the seals of the ranges among the leaves of the port log; each such leaf must be one of them.
function findSeals(shown, faults) {
  for (const [index, signed] of shown.leaves) {
    const { record } = signed;
    if (record.role !== "box") continue;
    const range = (shown.ranges.get(record.name) ?? []).find((one) => one.epoch === record.epoch && one.first <= record.position && record.position < one.end);
    if (!range || !same(range.records[record.position - range.first].data, signed.data))
      faults.add(`data/log/${index}.cose`, `seal at position ${record.position} is in no journal range shown`, `位置 ${record.position} 的封印不在所出示的日志区间内`);
    else range.sealed.push([record.position, index]);
  }
}

async function checkEpochs(shown, faults) {
  for (const ranges of shown.ranges.values()) {
    ranges.sort((one, two) => one.epoch - two.epoch);
    checkCounters(ranges, faults);
    for (const [at, before] of ranges.entries()) {
      const after = ranges[at + 1];
      if (after) await faults.of(after.file, () => checkBoot(before, after, faults));
      else if (before.whole && before.sealed[before.sealed.length - 1]?.[0] !== before.end - 1) faults.add(before.file, "does not end with a seal that the port log holds", "末尾不是总账收录的封印");
    }
  }
}

// No seal may be missing between those shown, and none went back: each takes the next value, and each epoch may lose one (a power cut).
function checkCounters(ranges, faults) {
  let value = null, since = 0;
  for (const range of ranges)
    for (const { record } of range.records) {
      if (record.kind !== "seal") continue;
      const { counter } = record.body, [before, start] = [value, since], tell = (en, zh) => faults.add(range.file, `seal at position ${record.position}: ${en}`, `位置 ${record.position} 的封印:${zh}`);
      if (counter === null) {
        if (before !== null) tell(`names no counter, the seal before it named ${before}`, `没有计数器值,而前一封印有 ${before}`);
        continue;
      }
      [value, since] = [counter, range.epoch];
      if (before === null) continue;
      if (counter <= before) tell(`counter went back from ${before} to ${counter}`, `计数器从 ${before} 倒退至 ${counter}`);
      else if (counter - before - 1 > Math.max(0, range.epoch - start)) tell(`${counter - before - 1} seals are missing before it by its counter`, `按计数器其前缺少 ${counter - before - 1} 个封印`);
    }
}

function checkBoot(before, after, faults) {
  const where = `${after.box} epoch ${after.epoch}`;
  need(after.first === 0 && after.records.length, where, `does not start at its boot, though it follows epoch ${before.epoch}`, `接续第 ${before.epoch} 纪元,却不从启动记录开始`);
  const { body, kind } = after.records[0].record;
  need(kind === "boot" && body.previous_epoch === before.epoch, where, `its boot does not follow epoch ${before.epoch}: an epoch is missing`, `启动记录不接续第 ${before.epoch} 纪元:缺少一个纪元`);
  const size = body.previous_size ?? 0;
  if (!before.whole || size < before.first) return;
  if (size > before.end) faults.add(before.file, `ends at position ${before.end}, the next boot knows ${size} records: the tail is missing`, `止于位置 ${before.end},而下次启动知道 ${size} 条记录:缺少末尾`);
  else if (size) need(same(size === before.end ? before.root : before.records[size - before.first].record.root, body.previous_root), where, `its boot names another head of epoch ${before.epoch}`, `启动记录写明的第 ${before.epoch} 纪元末端不同`);
}

// Check that every checkpoint that a box named, the hub published or an authority stamped is of one log, as far as it is shown.
async function checkSeen(files, shown, faults) {
  const notes = new Map(), named = new Map();
  const name = (size, root) => {
    if (!named.has(size)) named.set(size, new Map());
    named.get(size).set(toHex(root), root);
  };
  for (const file of [...files.keys()].sort()) {
    const found = parseName("note", file);
    if (!found) continue;
    await faults.of(file, async () => {
      const note = parseCheckpoint(files.get(file)), size = Number(found[1]);
      await checkNote(note, shown.trust.log, shown.trust.log.name);
      if (!files.has(`data/log/seen-${size}.consistency`)) faults.add(`data/log/seen-${size}.consistency`, "missing: its checkpoint is there", "缺失:只有它的检查点");
      need(note.size === size && files.has(`data/log/seen-${size}.consistency`), file, "is of another size, or no proof of consistency stands beside it", "大小不符,或缺少一致性证明");
      notes.set(size, note);
      name(size, note.root);
    });
  }
  for (const ranges of shown.ranges.values()) for (const range of ranges) for (const { record } of range.records) if (record.seen) name(record.seen.size, record.seen.root);
  for (const { record } of shown.leaves.values()) if (record.kind === "time-token") name(record.body.size, record.body.root);
  for (const [size, roots] of named) if (roots.size > 1) faults.add(CHECKPOINT, `${roots.size} different logs of size ${size} were shown: the log was forked`, `出示了 ${roots.size} 份大小为 ${size} 的不同总账:总账分叉`);
  for (const file of [...files.keys()].sort()) {
    const found = parseName("seen", file);
    if (!found || shown.checkpoint === null) continue;
    await faults.of(file, () => {
      const size = Number(found[1]), roots = [...(named.get(size)?.values() ?? [])];
      need(roots.length === 1, file, "no record shown names a checkpoint of this size", "没有记录写明这一大小的检查点");
      checkConsistency(size, roots[0], shown.checkpoint.size, shown.checkpoint.root, parseConsistency(files.get(file)));
      shown.seen.set(size, roots[0]);
      if (notes.has(size)) shown.notes.set(size, notes.get(size));
    });
  }
}

// ----------------------------------------------------------------------------------------------------------------------- standing

// The hub's own leaves as [index, wall ns], in order.
export function hubLeaves(shown) {
  return [...shown.leaves].filter(([, one]) => one.record.role === "hub").map(([index, one]) => [index, one.record.wall]);
}

// Find every stretch of records whose identity key did not count when the log first held it.
export function checkStanding(shown, faults) {
  const hub = hubLeaves(shown), size = shown.checkpoint?.size ?? 0;
  const timeAfter = (index) => {
    const known = [hub.find(([leaf]) => leaf > index)?.[1] ?? null, shown.checkpointTime].filter((one) => one !== null);
    return known.length ? known.reduce((one, two) => (one < two ? one : two)) : null;
  };
  for (const [box, ranges] of shown.ranges) {
    const seals = ranges.flatMap((range) => range.sealed.map(([position, index]) => ({ epoch: range.epoch, position, index })));
    seals.sort((one, two) => one.epoch - two.epoch || one.position - two.position);
    for (let at = seals.length - 2; at >= 0; at--) seals[at].index = Math.min(seals[at].index, seals[at + 1].index); // a later seal covers too
    for (const range of ranges)
      for (const [at, [position, keyId]] of range.identities.entries()) {
        const first = Math.max(position, range.first), last = (range.identities[at + 1]?.[0] ?? range.end) - 1;
        if (first > last) continue;
        const reaches = (one, place) => one.epoch > range.epoch || (one.epoch === range.epoch && one.position >= place);
        const low = seals.findIndex((one) => reaches(one, first)), high = seals.findIndex((one) => reaches(one, last));
        const covers = [...(low < 0 ? [] : seals.slice(low, high < 0 ? seals.length : high + 1).map((one) => one.index)), ...(high < 0 ? [size] : [])];
        const mine = (shown.signings.get(box) ?? []).filter((one) => one.certificate.key.id === keyId);
        const wall = range.records[last - range.first].record.wall;
        for (const cover of [...new Set(covers)].sort((one, two) => one - two)) {
          const reasons = mine.map((one) => standingFault(one, cover, timeAfter(cover) ?? wall));
          if (!reasons.length || reasons.some((one) => one === null)) continue;
          range.refused.push([first, last]);
          faults.add(range.file, `positions ${first} to ${last}: identity key ${keyId}... of ${box} ${reasons[0][0]}`, `位置 ${first} 至 ${last}:${box} 的身份密钥 ${keyId}… ${reasons[0][1]}`);
          break;
        }
      }
  }
}

function standingFault(signing, cover, at) {
  if (signing.index >= cover) return [`was not enrolled: the log held what it signed at leaf ${cover}`, `当时尚未登记:总账在条目 ${cover} 才收录其签名`];
  if (signing.until !== null && signing.until <= cover) return [`was revoked at leaf ${signing.until}, and the log held what it signed at leaf ${cover} only`, `在条目 ${signing.until} 被吊销,而总账在条目 ${cover} 才收录其签名`];
  return at > signing.certificate.until ? [`had ended when the log held what it signed`, `总账收录其签名时证书已过期`] : null;
}

