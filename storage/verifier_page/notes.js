// Signed notes, checkpoints, cosignatures, witness policies, proofs (C2SP: signed-note, tlog-checkpoint, tlog-cosignature,
// tlog-policy, tlog-proof) and the trust file that says whom to believe.

import { Fault, fromBase64, fromUtf8, need, same, sha256, toHex, toUtf8 } from "./bytes.js";
import { checkSignature, keyFromEd25519 } from "./keys.js";

const ED25519 = 1, COSIGNATURE = 4, ML_DSA_44 = 6;
const MAX_SECONDS = 2 ** 34;
const DASH = "\u2014 ";

function noteKey(name, kind, raw) {
  const hash = toHex(sha256(toUtf8(`${name}\n`), Uint8Array.of(kind), raw).subarray(0, 4));
  return { name, kind, raw, hash, key: kind === ML_DSA_44 ? null : keyFromEd25519(raw) };
}

export function parseVkey(text, where) {
  const [name, hash, ...rest] = text.trim().split("+");
  const raw = fromBase64(rest.join("+"), where);
  const size = { [ED25519]: 33, [COSIGNATURE]: 33, [ML_DSA_44]: 1313 }[raw[0]];
  need(name && !/\s/.test(name) && raw.length === size, where, "not a key of a known kind", "不是已知种类的密钥");
  const found = noteKey(name, raw[0], raw.subarray(1));
  need(found.hash === hash, where, "key hash does not fit name and key", "密钥哈希与名称和密钥不符");
  return found;
}

export function parseNote(data) {
  need(data.length <= 65536, "note", "too long", "过长");
  const text = fromUtf8(data, "note");
  need(!/[\x00-\x09\x0b-\x1f]/.test(text), "note", "holds control characters", "含控制字符");
  const cut = text.lastIndexOf("\n\n");
  need(cut >= 0 && text.endsWith("\n"), "note", "no blank line before the signatures", "签名之前没有空行");
  const lines = text.slice(cut + 2).split("\n").slice(0, -1);
  need(lines.length >= 1 && lines.length <= 64, "note", `${lines.length} signatures, expected 1 to 64`, `${lines.length} 个签名,应为 1 到 64 个`);
  const signatures = lines.map((line) => {
    const space = line.indexOf(" ", DASH.length);
    need(line.startsWith(DASH) && space > DASH.length, "note", "is no signature line", "不是签名行");
    const raw = fromBase64(line.slice(space + 1), "note signature");
    need(raw.length >= 5, "note", "is no signature line", "不是签名行");
    return { name: line.slice(DASH.length, space), hash: toHex(raw.subarray(0, 4)), data: raw.subarray(4) };
  });
  return { text: text.slice(0, cut + 1), signatures };
}

export function parseCheckpoint(data) {
  const note = parseNote(data), where = "checkpoint";
  const lines = note.text.split("\n");
  need(lines.length >= 4 && lines[0] && /^(0|[1-9][0-9]{0,15})$/.test(lines[1]) && !lines.slice(3, -1).includes(""), where, "not origin, size and root", "不是来源、大小和根");
  const root = fromBase64(lines[2], where), size = Number(lines[1]);
  need(root.length === 32 && Number.isSafeInteger(size), where, "root is not 32 bytes", "根不是 32 字节");
  return { origin: lines[0], size, root, note };
}

export function hasSigned(checkpoint, key) {
  return checkpoint.note.signatures.some((one) => one.name === key.name && one.hash === key.hash);
}

// Check the signature of `key` on a checkpoint; give a cosignature's Unix seconds, null for a plain signature.
export async function checkNote(checkpoint, key, origin) {
  const where = "checkpoint", text = checkpoint.note.text;
  need(checkpoint.origin === origin, where, `origin is ${checkpoint.origin}, expected ${origin}`, `来源是 ${checkpoint.origin},应为 ${origin}`);
  const signature = checkpoint.note.signatures.find((one) => one.name === key.name && one.hash === key.hash);
  need(signature, "note", `not signed by ${key.name}`, `没有 ${key.name} 的签名`);
  if (key.kind === ED25519) {
    await checkSignature(key.key, signature.data, toUtf8(text), key.name);
    return null;
  }
  need(signature.data.length === 72, key.name, "cosignature has the wrong length", "见证签名长度错误");
  const seconds = new DataView(signature.data.buffer, signature.data.byteOffset).getBigUint64(0);
  need(seconds < 1n << 63n, key.name, "cosigned at no time", "见证时间无效");
  await checkSignature(key.key, signature.data.subarray(8), toUtf8(`cosignature/v1\ntime ${seconds}\n${text}`), key.name);
  return Number(seconds);
}

// --------------------------------------------------------------------------------------------------------------------- policies

// Read a c2sp.org/tlog-policy file: {logs, witnesses, groups, quorum}.
export function parsePolicy(text) {
  const where = "policy", out = { logs: [], witnesses: [], groups: [], quorum: null }, known = new Set(["none"]), used = new Set();
  const wrong = (number) => new Fault(`${where} line ${number}`, "is no line of a policy", "不是策略文件的一行");
  need(text.length <= 262144, where, "too long", "过长");
  text.split("\n").forEach((line, at) => {
    const [word, ...rest] = line.split(/[ \t]+/).filter(Boolean);
    if (!word || word.startsWith("#")) return;
    if (word === "log" && rest.length >= 1 && rest.length <= 2) out.logs.push(parseVkey(rest[0], where));
    else if (word === "witness" && rest.length >= 2 && rest.length <= 3 && !known.has(rest[0])) {
      out.witnesses.push({ name: rest[0], key: parseVkey(rest[1], where) });
      known.add(rest[0]);
    } else if (word === "group" && rest.length >= 3 && !known.has(rest[0])) {
      const [name, many, ...members] = rest;
      const k = many === "any" ? 1 : many === "all" ? members.length : /^[1-9][0-9]{0,3}$/.test(many) ? Number(many) : 0;
      if (k < 1 || k > members.length || members.some((one) => one === "none" || !known.has(one) || used.has(one))) throw wrong(at + 1);
      if (new Set(members).size !== members.length) throw wrong(at + 1);
      members.forEach((one) => used.add(one));
      out.groups.push({ name, k, members });
      known.add(name);
    } else if (word === "quorum" && rest.length === 1 && out.quorum === null && known.has(rest[0])) out.quorum = rest[0];
    else throw wrong(at + 1);
  });
  need(out.quorum !== null, where, "names no quorum", "没有写明法定数");
  const keys = [...out.logs, ...out.witnesses.map((one) => one.key)].map((one) => toHex(one.raw));
  need(new Set(keys).size === keys.length, where, "one key stands twice; a log cannot be its own witness", "密钥重复;总账不能做自己的见证人");
  need(out.logs.every((one) => one.kind === ED25519) && out.witnesses.every((one) => one.key.kind !== ED25519), where, "a log's key must sign notes, a witness's must cosign", "总账密钥须能签署,见证密钥须能见证");
  return out;
}

function isMet(policy, agreed) {
  const met = new Set([...agreed, "none"]);
  for (const group of policy.groups) if (group.members.filter((one) => met.has(one)).length >= group.k) met.add(group.name);
  return met.has(policy.quorum);
}

// ------------------------------------------------------------------------------------------------------------------------ trust

const SITE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/;

export function parseTrust(data) {
  const where = "trust";
  need(data.length <= 131072, where, "too long", "过长");
  let fields;
  try {
    fields = JSON.parse(fromUtf8(data, where));
  } catch {
    throw new Fault(where, "not JSON", "不是 JSON");
  }
  const keys = Object.keys(fields ?? {}).filter((one) => !["policy", "time_authorities", "draw_keys"].includes(one)).sort().join();
  need(keys === "hub,log,quorum,root_sha256,site,witnesses", where, "is no trust file", "不是信任文件");
  const texts = ["site", "hub", "root_sha256", "log"].every((one) => typeof fields[one] === "string");
  need(texts && SITE_NAME.test(fields.site) && SITE_NAME.test(fields.hub) && /^[0-9a-fA-F]{64}$/.test(fields.root_sha256), where, "a field is none", "字段格式错误");
  need(Array.isArray(fields.witnesses) && fields.witnesses.length <= 64 && Number.isInteger(fields.quorum), where, "a field is none", "字段格式错误");
  const log = parseVkey(fields.log, "trust.log"), name = `portwitness.port/${fields.site}/${fields.hub}`;
  need(log.kind === ED25519 && log.name === name, "trust.log", `log key is not of ${name}`, `总账密钥不属于 ${name}`);
  const own = fields.witnesses.map((one) => parseVkey(String(one), "trust.witnesses"));
  const distinct = [...new Map(own.map((one) => [toHex(one.raw), one])).values()];
  need(own.every((one) => one.kind !== ED25519 && !same(one.raw, log.raw)), "trust.witnesses", "is not a cosignature key, or is the log's own", "不是见证密钥,或是总账自己的密钥");
  need(fields.quorum >= 0 && fields.quorum <= distinct.length, "trust.quorum", `quorum ${fields.quorum} of ${own.length} witnesses`, `${own.length} 个见证人中的法定数 ${fields.quorum}`);
  const witnesses = distinct.map((key, at) => ({ name: `witness-${at + 1}`, key }));
  let policy = { logs: [log], witnesses, groups: [{ name: "quorum", k: fields.quorum, members: witnesses.map((one) => one.name) }], quorum: fields.quorum ? "quorum" : "none" };
  if (fields.policy !== undefined) {
    policy = parsePolicy(String(fields.policy));
    need(!own.length && !fields.quorum && policy.logs.some((one) => same(one.raw, log.raw) && one.name === log.name), "trust.policy", "stands beside witnesses or a quorum, or does not list the log's key", "与见证人或法定数并存,或没有列出总账密钥");
  }
  return {
    site: fields.site, hub: fields.hub, rootSha256: fields.root_sha256.toLowerCase(), log, policy, asks: policy.quorum !== "none",
    clock: noteKey(`${log.name}/time`, COSIGNATURE, log.raw), authorities: Boolean(fields.time_authorities),
    drawKeys: Object.entries(fields.draw_keys ?? {}),
  };
}

// Check the log's signature and the witnesses' quorum; give the hub's own time in Unix s (null: none) and whose words were passed over.
export async function checkCheckpoint(trust, checkpoint) {
  await checkNote(checkpoint, trust.log, trust.log.name);
  const agreed = [], passed = [];
  for (const witness of trust.policy.witnesses) {
    if (!hasSigned(checkpoint, witness.key)) continue;
    if (witness.key.kind === ML_DSA_44) passed.push(witness.name);
    else {
      await checkNote(checkpoint, witness.key, checkpoint.origin);
      agreed.push(witness.name);
    }
  }
  const aside = passed.length ? ` (${passed.length} ML-DSA-44)` : "";
  need(isMet(trust.policy, agreed), "checkpoint", `cosigned by ${agreed.length} witnesses this page can check${aside}, which are no quorum of the policy`, `本页能核验的见证签名有 ${agreed.length} 个${aside},未达到策略的法定数`);
  const seconds = hasSigned(checkpoint, trust.clock) ? await checkNote(checkpoint, trust.clock, trust.log.name) : null;
  need(seconds === null || seconds <= MAX_SECONDS, "checkpoint", "cosigned at no time", "见证时间无效");
  return { seconds, passed, agreed };
}

// Give [who, Unix s] of the cosignatures on a checkpoint that the trust names and this page can check.
export async function cosigners(trust, checkpoint) {
  const out = [];
  for (const [who, key] of [["the hub", trust.clock], ...trust.policy.witnesses.map((one) => [`witness ${one.key.name}`, one.key])])
    if (key.kind === COSIGNATURE && hasSigned(checkpoint, key)) {
      const seconds = await checkNote(checkpoint, key, trust.log.name);
      if (seconds <= MAX_SECONDS) out.push([who, seconds]);
    }
  return out;
}

// ----------------------------------------------------------------------------------------------------------------------- proofs

function hashLines(lines, where) {
  need(lines.length <= 64, where, `${lines.length} hashes, at most 64`, `${lines.length} 个哈希,最多 64 个`);
  return lines.map((line) => {
    const hash = fromBase64(line, where);
    need(hash.length === 32, where, "a hash is not 32 bytes", "哈希不是 32 字节");
    return hash;
  });
}

// A `.tlog-proof` file: {index, path, checkpoint}.
export function parseProof(data) {
  const where = "tlog-proof", text = fromUtf8(data, where), cut = text.indexOf("\n\n");
  const lines = text.slice(0, Math.max(cut, 0)).split("\n");
  const index = /^index (0|[1-9][0-9]{0,14})$/.exec(lines[1] ?? "");
  need(cut >= 0 && lines[0] === "c2sp.org/tlog-proof@v1" && index, where, "does not start with its name and index", "开头不是名称和序号");
  const path = hashLines(lines.slice(2), where);
  return { index: Number(index[1]), path, checkpoint: toUtf8(text.slice(cut + 2)) };
}

export function parseConsistency(data) {
  const text = fromUtf8(data, "consistency");
  need(text === "" || text.endsWith("\n"), "consistency", "cut", "截断");
  return hashLines(text.split("\n").slice(0, -1), "consistency");
}

// Check the signed checkpoint in a seal under the session key; give it.
export async function checkSeal(note, box, epoch, session) {
  const origin = `portwitness.box/${box}/${epoch}`;
  const checkpoint = parseCheckpoint(note);
  await checkNote(checkpoint, noteKey(origin, ED25519, session.raw), origin);
  return checkpoint;
}
