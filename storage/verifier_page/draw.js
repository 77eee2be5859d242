// A published draw, made again from its bundle alone: records and their proofs, the named keys' answers, every probability and team.

import { Fault, bigEndian64, fromBase64, fromHex, fromUtf8, join, need, same, sha256, toHex, toUtf8 } from "./bytes.js";
import { hmacOf, inspectorNumbers, minusLog } from "./chance.js";
import { checkSignature, keyFromEd25519 } from "./keys.js";
import { checkCheckpoint, parseCheckpoint, parseTrust } from "./notes.js";
import { readRecord } from "./records.js";
import { checkConsistency, checkInclusion, leafHash, rootOver } from "./trees.js";
import { verifyVrf } from "./vrf.js";

const FORMAT = "portwitness-draw/1", PARTS = 1000000000n, CEILING = 990000000n, WHOLE = 1n << 256n;
const TOKEN = "[A-Za-z0-9][A-Za-z0-9._/:+-]{0,63}", LIST = `(?:${TOKEN}(?:,${TOKEN})*)?`, COUNT = "(?:0|[1-9][0-9]{0,18})";
const LINES = [
  ["H", new RegExp(`^H\t(${COUNT})\t(${COUNT})$`)],
  ["C", new RegExp(`^C\t(${TOKEN})\t(${COUNT})\t(${COUNT})$`)],
  ["X", new RegExp(`^X\t(declaration|inspector)\t(${TOKEN})\t(${COUNT})$`)],
  ["I", new RegExp(`^I\t(${TOKEN})\t([01])\t(${COUNT})\t(${LIST})\t(${LIST})$`)],
  ["D", new RegExp(`^D\t(${TOKEN})\t(${TOKEN})\t(${TOKEN})\t(${COUNT})\t(${TOKEN})\t(${LIST})\t(${LIST})\t(${COUNT})\t(${COUNT})$`)],
];

function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`;
  if (value && typeof value === "object") return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join()}}`;
  return JSON.stringify(value);
}

function readJson(data, where) {
  const text = fromUtf8(data, where);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Fault(where, "not JSON", "不是 JSON");
  }
  need(value && typeof value === "object" && canonical(value) === text, where, "is not in canonical form", "不是规范写法");
  return value;
}

const holds = (condition, where, en, zh) => need(condition, where, en, zh);
const strings = (value, where) => {
  holds(Array.isArray(value) && value.every((one) => typeof one === "string" && /^[\x00-\x7f]*$/.test(one)), where, "is no list of lines", "不是文本行列表");
  return value;
};
const hashes = (value, where) => {
  holds(Array.isArray(value) && value.length <= 64, where, "is no path", "不是证明路径");
  return value.map((one) => {
    const hash = fromBase64(String(one), where);
    holds(hash.length === 32, where, "a hash is not 32 bytes", "哈希不是 32 字节");
    return hash;
  });
};

// Read a bundle; what it holds is not believed yet.
export function parseDraw(data) {
  const where = "draw bundle", value = readJson(data, where);
  const names = "checkpoint,closing,final,format,leaves,policy,pool,probabilities,sheets,teams";
  holds(Object.keys(value).sort().join() === names && value.format === FORMAT, where, `is not of the format ${FORMAT}`, `格式不是 ${FORMAT}`);
  const leaves = value.leaves.map((one) => {
    holds(Object.keys(one).sort().join() === "index,path,record" && Number.isSafeInteger(one.index) && one.index >= 0, where, "a leaf is none", "条目格式错误");
    return { index: one.index, record: fromBase64(one.record, where), path: hashes(one.path, where) };
  });
  leaves.reduce((before, one) => {
    holds(one.index > before, where, "leaves are not sorted, or one stands twice", "条目未排序或重复");
    return one.index;
  }, -1);
  return {
    policy: String(value.policy), pool: strings(value.pool, "draw pool"), probabilities: strings(value.probabilities, "draw probabilities"),
    teams: strings(value.teams, "draw teams"), final: strings(value.final, "draw final"), leaves, checkpoint: toUtf8(value.checkpoint),
    sheets: new Map(Object.entries(value.sheets).map(([at, one]) => [Number(at), one])),
    closing: { checkpoint: toUtf8(value.closing.checkpoint), path: hashes(value.closing.path, where), consistency: hashes(value.closing.consistency, where) },
  };
}

// Make a draw again. `told(step, facts)` hears of each step as it is done. Gives what came out; a Fault says what is wrong.
export async function judgeDraw(bundleData, trustData, told = async () => {}) {
  const trust = parseTrust(trustData), bundle = parseDraw(bundleData);
  const head = parseCheckpoint(bundle.checkpoint);
  await checkCheckpoint(trust, head);
  const leaves = await readLeaves(bundle, head, trust);
  await told("records", { size: head.size, leaves: [...leaves.values()].map((one) => one.record.kind) });
  const records = recordsOf(leaves);
  await checkClosing(bundle, head, records, trust);
  await told("order", { call: records.call.record.position, closing: records.closing.record.position, result: records.result.record.position });
  const policy = readPolicy(bundle, records, trust);
  await told("policy", { rules: policy.rules, rate: policy.rate, witnesses: policy.witnesses.map((one) => one.name) });
  const pool = readPool(bundle, records);
  await told("pool", { root: toHex(records.closing.record.body.root), declarations: pool.entries.length, inspectors: pool.inspectors.length });
  const { seed, answered, fallenBack } = await readAnswers(policy, records, told);
  await told("seed", { seed: toHex(seed), fallenBack });
  const selection = selectEntries(policy, pool, seed, fallenBack);
  compare(bundle.probabilities, selection.drawn.map(drawnLine), "draw probabilities");
  const chosen = selection.drawn.filter((one) => one.why);
  await told("selection", { selected: chosen.length });
  const first = drawTeams(pool, chosen.map((one) => one.entry), seed, new Map());
  compare(bundle.teams, first.map(teamLine), "draw teams");
  await told("teams", { teams: first.length });
  checkResult(records.result.record.body, bundle, selection, chosen);
  const acts = readActs(bundle, leaves);
  checkLeft(pool, acts, records);
  const final = finalTeams(pool, chosen, seed, acts.filter((one) => one.position > records.result.record.position), first);
  compare(bundle.final, final.map(teamLine), "draw final");
  await told("final", { acts: acts.length });
  const unchecked = ["pool", "second"];
  if (!trust.drawKeys.length) unchecked.push("keys");
  return {
    number: pool.number, closed: records.closing.record.wall, rules: policy.rules, seed: toHex(seed), answered, missing: records.result.record.body.missing,
    fallenBack, pool, drawn: selection.drawn, teams: first, final, acts, size: head.size, unchecked, policy,
  };
}

async function readLeaves(bundle, head, trust) {
  const key = keyFromEd25519(trust.log.raw), found = new Map();
  for (const leaf of bundle.leaves) {
    const one = readRecord(leaf.record), { record } = one, where = `leaf ${leaf.index}`;
    checkInclusion(one.leaf, leaf.index, head.size, leaf.path, head.root);
    need(record.issuer === `hub:${trust.hub}` && record.position === leaf.index && record.epoch === 0, where, "was not issued by the hub at this place", "不是中心在此位置签发的记录");
    need(one.envelope.keyId === key.id, where, "signed by another key", "由其他密钥签名");
    await checkSignature(key, one.envelope.signature, one.envelope.signed, where);
    found.set(leaf.index, one);
  }
  return found;
}

function recordsOf(leaves) {
  const where = "draw leaves", all = [...leaves.values()];
  const one = (kind, number) => {
    const found = all.filter(({ record }) => record.kind === kind && (number === undefined || record.body.number === number));
    need(found.length === 1, where, `${found.length} records of ${kind}, expected one`, `${kind} 记录有 ${found.length} 条,应为一条`);
    return found[0];
  };
  const call = one("draw-call"), number = call.record.body.number;
  const policy = one("draw-policy"), closing = one("draw-closing"), result = one("draw-result", number);
  const before = number > 1 ? one("draw-result", number - 1) : null;
  need(closing.record.body.number === number, "draw", "the closing is of another draw number than the call", "关闭记录与公告的抽取编号不同");
  const at = [policy, call, closing, result].map(({ record }) => record.position);
  need(at.every((place, index) => !index || at[index - 1] < place), where, "policy, call, closing and result were not logged in this order", "规则、公告、关闭、结果的入账次序不对");
  need(!before || before.record.position < call.record.position, where, "the draw before was not over when this one was called", "上一次抽取尚未结束");
  const chain = before ? before.record.body.seed : new Uint8Array(32);
  for (const { record } of [call, closing]) {
    need(same(record.body.chain, chain), "draw", "does not go on from the draw before", "没有接续上一次抽取");
    need(same(record.body.policy, call.record.body.policy), "draw", "call and closing name two policies", "公告与关闭记录所指规则不同");
  }
  const closes = BigInt(call.record.body.closes_ns);
  need(call.record.wall < closes, "draw call", "the closing time was not logged before it came", "关闭时间不是事先入账");
  need(closing.record.wall >= closes, "draw closing", "the pool closed before the time that was logged", "抽取池在公告时间之前关闭");
  return { policy, call, closing, result, before };
}

async function checkClosing(bundle, head, records, trust) {
  const early = parseCheckpoint(bundle.closing.checkpoint), at = records.closing.record.position;
  await checkCheckpoint(trust, early);
  need(at < early.size && early.size <= records.result.record.position, "draw closing", "no checkpoint between closing and result covers the closing", "关闭与结果之间没有覆盖关闭记录的检查点");
  checkInclusion(records.closing.leaf, at, early.size, bundle.closing.path, early.root);
  checkConsistency(early.size, early.root, head.size, head.root, bundle.closing.consistency);
}

function readPolicy(bundle, records, trust) {
  const text = toUtf8(bundle.policy), where = "draw policy";
  need(same(text, records.policy.record.body.document), where, "is not the one that was logged", "不是已入账的规则");
  const value = readJson(text, where);
  need(same(records.call.record.body.policy, sha256(text)), where, "the draw was called for another policy", "公告所指是另一规则");
  need(value.log === trust.log.name, where, "is of another port's log", "属于其他口岸的总账");
  const names = value.witnesses.map((one) => one.name);
  need(names.length >= 1 && new Set(names).size === names.length && value.needed >= 1 && value.needed <= names.length, where, "names no keys, or one twice", "没有指名密钥或重复");
  for (const [name, key] of trust.drawKeys)
    need(value.witnesses.some((one) => one.name === name && one.key === key), where, `does not name ${name} with the trusted key`, `没有以可信密钥指名 ${name}`);
  return value;
}

function readPool(bundle, records) {
  const where = "draw pool", body = records.closing.record.body, at = records.closing.record.position;
  need(same(rootOver(bundle.pool.map((line) => leafHash(toUtf8(line)))) ?? new Uint8Array(0), body.root), where, "is not the one that the closing bound: something was added, dropped or changed", "不是关闭记录所绑定的抽取池:有增、删或改动");
  const parts = { H: [], C: [], X: [], I: [], D: [] };
  let stage = 0;
  bundle.pool.forEach((line, number) => {
    const kind = LINES.findIndex(([name]) => line.startsWith(`${name}\t`)), found = kind >= stage ? LINES[kind][1].exec(line) : null;
    need(found, where, `line ${number + 1} is none, or stands in the wrong place`, `第 ${number + 1} 行格式或位置错误`);
    stage = kind;
    parts[LINES[kind][0]].push(found.slice(1));
  });
  need(parts.H.length === 1, where, "has not exactly one head", "没有唯一的首行");
  const list = (text) => (text ? text.split(",") : []);
  const pool = {
    number: Number(parts.H[0][0]), closes: BigInt(parts.H[0][1]),
    counts: parts.C.map(([name, arrivals, checked]) => ({ name, arrivals: BigInt(arrivals), checked: BigInt(checked) })),
    left: parts.X.map(([kind, id, position]) => ({ kind, id, position: Number(position) })),
    inspectors: parts.I.map(([id, duty, load, able, recused]) => ({ id, duty: duty === "1", load: Number(load), able: list(able), recused: list(recused) })),
    entries: parts.D.map(([id, stratum, lane, risk, grade, needs, parties, position, entered]) => ({
      id, stratum, lane, risk: BigInt(risk), grade, needs: list(needs), parties: list(parties), position: Number(position), entered: BigInt(entered),
    })),
  };
  for (const [ids, noun] of [[pool.counts.map((one) => one.name), "stratum"], [pool.inspectors.map((one) => one.id), "inspector"], [pool.entries.map((one) => one.id), "declaration"]])
    ids.forEach((id, place) => need(!place || ids[place - 1] < id, where, `${noun} ${id} stands twice or is not sorted`, `${id} 重复或未排序`));
  need(pool.number === body.number, where, "is of another draw number", "属于另一抽取编号");
  need(pool.closes === BigInt(records.call.record.body.closes_ns), where, "names another closing time than the call", "关闭时间与公告不同");
  need(body.entries === pool.entries.length && body.inspectors === pool.inspectors.length, where, "the closing counts another pool", "关闭记录的数目不符");
  for (const one of pool.entries) {
    need(one.entered <= pool.closes && one.position < at, where, `declaration ${one.id} came after the closing time`, `报检单 ${one.id} 在关闭之后进入`);
    need(one.risk <= PARTS, where, "a risk is too large", "风险值过大");
  }
  const before = new Map((records.before?.record.body.counts ?? []).map(([name, arrivals, checked]) => [name, `${arrivals}/${checked}`]));
  for (const one of pool.counts) {
    need((before.get(one.name) ?? "0/0") === `${one.arrivals}/${one.checked}`, where, `the counts of ${one.name} do not go on from the draw before`, `${one.name} 的计数没有接续上一次抽取`);
    before.delete(one.name);
  }
  need(before.size === 0, where, "counts of the draw before were dropped", "上一次抽取的计数被删去");
  return pool;
}

async function readAnswers(policy, records, told) {
  const closing = records.closing.record.body, result = records.result.record.body, where = "draw answers";
  const alpha = join(bigEndian64(closing.number), closing.root, closing.policy, closing.chain);
  const names = policy.witnesses.map((one) => one.name), answered = result.answers.map(([name]) => name);
  need(answered.length > 0 && answered.join() === names.filter((name) => answered.includes(name)).join(), where, "answers are not of the named keys, each once and in their order", "应答与指名密钥不符");
  need(result.missing.join() === names.filter((name) => !answered.includes(name)).join(), where, "the missing answers are not named", "未写明缺少的应答");
  const betas = [];
  for (const [name, pi] of result.answers) {
    const key = fromHex(policy.witnesses.find((one) => one.name === name).key);
    betas.push(await verifyVrf(key, alpha, pi, `${where}: ${name}`));
    await told("answer", { name, beta: toHex(betas[betas.length - 1]) });
  }
  const seed = sha256(...betas), fallenBack = answered.length < policy.needed;
  need(same(result.seed, seed), where, "the result names another seed than its answers give", "结果中的种子与应答不符");
  need(result.outcome === (fallenBack ? "fallen back" : "drawn"), where, "the outcome is not the one that its answers give", "结果类型与应答不符");
  return { seed, answered, fallenBack };
}

// p = r + (r(N + 1) - K) r/2 in parts of 10^9, between r/2 and the ceiling; every division rounds down.
function nationalRate(rate, arrivals, checked) {
  const over = rate * (rate * (arrivals + 1n) - checked * PARTS), half = 2n * PARTS;
  const wished = rate + (over >= 0n ? over / half : -((-over + half - 1n) / half));
  const least = rate / 2n > 1n ? rate / 2n : 1n;
  return wished < least ? least : wished > CEILING ? CEILING : wished;
}

function partsOf(policy, entry, count) {
  const lane = policy.lanes[entry.lane], grade = policy.grades[entry.grade], where = `draw pool: ${entry.id}`;
  need(lane && Object.hasOwn(policy.lanes, entry.lane) && Object.hasOwn(policy.grades, entry.grade), where, "its lane or grade is not in the policy", "通道或信用等级不在规则中");
  const own = Object.hasOwn(policy.strata, entry.stratum) ? policy.strata[entry.stratum] : policy.rate;
  const rate = BigInt(own), floor = BigInt(lane.floor), credit = BigInt(grade), risk = (BigInt(lane.weight) * entry.risk) / PARTS;
  if (lane.certain || rate === PARTS) return { national: rate < CEILING ? rate : CEILING, risk, credit, floor, total: PARTS, rule: lane.certain ? "lane" : "rate" };
  const national = nationalRate(rate, count.arrivals, count.checked);
  const joined = PARTS - ((PARTS - national) * (PARTS - risk) * (PARTS - credit)) / (PARTS * PARTS), most = joined > floor ? joined : floor;
  return { national, risk, credit, floor, total: most < CEILING ? most : CEILING, rule: "" };
}

function selectEntries(policy, pool, seed, everything) {
  const counts = new Map(pool.counts.map((one) => [one.name, { ...one }])), hmac = hmacOf(seed);
  const drawn = pool.entries.map((entry) => {
    const count = counts.get(entry.stratum);
    need(count, "draw pool", `stratum ${entry.stratum} has no count`, `${entry.stratum} 没有计数`);
    const parts = partsOf(policy, entry, count);
    if (parts.rule) return { entry, parts, u: null, why: "rule" };
    if (everything) return { entry, parts, u: null, why: "fall-back" };
    const u = BigInt(`0x${toHex(hmac(entry.id))}`), scaled = u * PARTS;
    const chosen = scaled < parts.national * WHOLE;
    count.arrivals += 1n;
    if (chosen) count.checked += 1n;
    return { entry, parts, u, why: chosen ? "national" : scaled < parts.total * WHOLE ? "risk" : "" };
  });
  return { drawn, counts: [...counts.values()] };
}

const drawnLine = ({ entry, parts, why }) => [entry.id, parts.national, parts.risk, parts.credit, parts.floor, parts.total, parts.rule, why].join("\t");
const teamLine = ({ id, members }) => `${id}\t${members.join()}`;

function drawTeams(pool, entries, seed, refused) {
  const loads = pool.inspectors.map((one) => one.load);
  return entries.map((entry) => {
    const numbers = inspectorNumbers(seed, entry.id, pool.inspectors.length), gone = refused.get(entry.id) ?? [];
    const able = pool.inspectors.map((one, at) => at).filter((at) => {
      const one = pool.inspectors[at];
      return one.duty && entry.needs.every((need) => one.able.includes(need)) && !entry.parties.some((party) => one.recused.includes(party));
    });
    const order = firstByKey(able, numbers, loads, 2 + gone.length).map((at) => pool.inspectors[at].id);
    for (const id of order.slice(0, 2)) loads[pool.inspectors.findIndex((one) => one.id === id)] += 1;
    for (const who of gone) {
      need(order.slice(0, 2).includes(who), "draw inspectors", `${who} stepped back from ${entry.id} and was not drawn for it`, `${who} 未被抽中却回避 ${entry.id}`);
      order.splice(order.indexOf(who), 1);
    }
    return { id: entry.id, members: order.slice(0, 2) };
  });
}

// The smallest keys -ln(u)(1 + load): x <= -ln(1 - x) <= x / (1 - x) rules most out, exact integers decide among the rest.
function firstByKey(able, numbers, loads, count) {
  const bounds = able.map((at) => [numbers[at] * (1 + loads[at]), at]).sort((one, two) => one[0] - two[0]);
  const least = bounds[Math.min(count, bounds.length) - 1]?.[0] ?? 0, most = Math.max(1, ...able.map((at) => 1 + loads[at]));
  const limit = 2 * least < 2 ** 32 ? least * (1 + (2 * least + 2) / 2 ** 32) * 1.000001 + 2 * most + 4 : Infinity;
  const keys = bounds.filter(([low]) => low <= limit).map(([, at]) => [minusLog(numbers[at]) * BigInt(1 + loads[at]), at]);
  keys.sort((one, two) => (one[0] < two[0] ? -1 : one[0] > two[0] ? 1 : one[1] - two[1]));
  return keys.slice(0, count).map(([, at]) => at);
}

function checkResult(body, bundle, selection, chosen) {
  const root = rootOver([...bundle.probabilities, ...bundle.teams].map((line) => leafHash(toUtf8(line))));
  need(same(body.result, root ?? sha256()), "draw result", "the result record binds other lines", "结果记录绑定的是其他内容");
  need(body.selected === chosen.length, "draw result", "the result record counts another number of selected declarations", "结果记录的抽中数目不符");
  const counts = selection.counts.map((one) => `${one.name}/${one.arrivals}/${one.checked}`).join();
  need(body.counts.map((one) => one.join("/")).join() === counts, "draw result", "the result record names other counts", "结果记录的计数不符");
}

const SHEET = join(toUtf8("portwitness/sheet/v1"), Uint8Array.of(0));
const SAID = { excluded: ["kind", "id"], readmitted: ["kind", "id"], refused: ["declaration", "inspector"], overridden: ["declaration"] };

function readActs(bundle, leaves) {
  const acts = [];
  for (const { record } of leaves.values()) {
    if (record.kind !== "draw-act") continue;
    const where = `draw act ${record.position}`, sheet = bundle.sheets.get(record.position);
    need(sheet, where, "its sheet is missing", "缺少附表");
    const text = toUtf8(sheet.text);
    need(same(sha256(SHEET, fromHex(sheet.salt), text), record.body.sheet), where, "its sheet is not the one that the record binds", "附表与记录所绑定的不符");
    const said = readJson(text, where), act = record.body.act;
    need(["by", "second", "reason"].every((name) => typeof said[name] === "string" && said[name].trim()), where, "does not name two persons and a reason", "没有写明两人及理由");
    need(said.by !== said.second, where, `was done by one person, ${said.by}, alone`, `由 ${said.by} 一人所为`);
    need(SAID[act].every((name) => typeof said[name] === "string") && (act !== "overridden" || Array.isArray(said.members)), where, "does not say of what", "没有写明对象");
    acts.push({ position: record.position, act, said });
  }
  need(acts.length === bundle.sheets.size, "draw sheets", "a sheet is of no act that is shown", "有附表不属于所示变更");
  return acts;
}

function checkLeft(pool, acts, records) {
  for (const one of pool.left) {
    const act = acts.find((two) => two.act === "excluded" && two.position === one.position);
    const fits = act && act.position < records.closing.record.position && act.said.kind === one.kind && act.said.id === one.id;
    need(fits, "draw pool", `${one.kind} ${one.id} was left out without a record of two persons`, `${one.id} 被排除而没有双人记录`);
  }
}

function finalTeams(pool, chosen, seed, acts, first) {
  const refused = new Map(), selected = new Set(chosen.map((one) => one.entry.id));
  for (const { act, said } of acts) {
    if (act !== "refused") continue;
    need(selected.has(said.declaration), "draw acts", `an inspector steps back from ${said.declaration}, which was not selected`, `${said.declaration} 未被抽中却有人回避`);
    refused.set(said.declaration, [...(refused.get(said.declaration) ?? []), said.inspector]);
  }
  const teams = new Map((refused.size ? drawTeams(pool, chosen.map((one) => one.entry), seed, refused) : first).map((one) => [one.id, one]));
  for (const { act, said } of acts) {
    if (act !== "overridden") continue;
    need(pool.entries.some((one) => one.id === said.declaration), "draw acts", `${said.declaration} is overridden and was not in the pool`, `${said.declaration} 不在抽取池中却被变更`);
    if (said.members.length) teams.set(said.declaration, { id: said.declaration, members: said.members });
    else teams.delete(said.declaration);
  }
  return [...teams.values()].sort((one, two) => (one.id < two.id ? -1 : 1));
}

// Name the first line that differs.
function compare(found, expected, where) {
  const length = Math.max(found.length, expected.length);
  for (let at = 0; at < length; at++)
    if (found[at] !== expected[at]) throw new Fault(where, `line ${at + 1} says ${found[at] ?? "nothing"}, recomputed ${expected[at] ?? "nothing"}`, `第 ${at + 1} 行为 ${found[at] ?? "空"},重算为 ${expected[at] ?? "空"}`);
}
