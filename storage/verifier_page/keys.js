// Keys and certificates: Ed25519 and P-256 by WebCrypto, and as much of DER (X.690) and X.509 (RFC 5280) as a site's certificates need.

import { Fault, fromBase64, fromHex, fromUtf8, join, need, same, sha256, toBase64, toHex } from "./bytes.js";

export const ES256 = -7, EDDSA = -8;
const ED25519_HEAD = fromHex("302a300506032b6570032100");
const P256_HEAD = fromHex("3059301306072a8648ce3d020106082a8648ce3d030107034200");
const IMPORTED = new Map();

// A verification key by its SubjectPublicKeyInfo.
export function keyFromSpki(spki) {
  const head = [[ED25519_HEAD, EDDSA, 44], [P256_HEAD, ES256, 91]].find(([known, , size]) => spki.length === size && same(spki.subarray(0, known.length), known));
  need(head, "key", "only Ed25519 and P-256 keys are used", "只使用 Ed25519 和 P-256 密钥");
  const digest = sha256(spki);
  return { algorithm: head[1], spki, raw: spki.subarray(head[0].length), id: toHex(digest.subarray(0, 8)) };
}

export function keyFromEd25519(raw) {
  need(raw.length === 32, "key", `${raw.length} bytes are not an Ed25519 key`, `${raw.length} 字节不是 Ed25519 密钥`);
  return keyFromSpki(join(ED25519_HEAD, raw));
}

// Tell whether this browser can check Ed25519 signatures at all.
export async function knowsEd25519() {
  try {
    await imported(keyFromEd25519(fromHex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))); // RFC 8032, 7.1
    return true;
  } catch {
    return false;
  }
}

function imported(key) {
  const name = toHex(key.spki);
  if (!IMPORTED.has(name)) {
    const algorithm = key.algorithm === EDDSA ? { name: "Ed25519" } : { name: "ECDSA", namedCurve: "P-256" };
    IMPORTED.set(name, crypto.subtle.importKey("spki", key.spki, algorithm, false, ["verify"]));
  }
  return IMPORTED.get(name);
}

// Check a signature of 64 bytes (r||s for ES256).
export async function checkSignature(key, signature, data, where = "signature") {
  const algorithm = key.algorithm === EDDSA ? { name: "Ed25519" } : { name: "ECDSA", hash: "SHA-256" };
  let holds = false;
  if (signature.length === 64) {
    try {
      holds = await crypto.subtle.verify(algorithm, await imported(key), signature, data);
    } catch {
      holds = false;
    }
  }
  need(holds, where, `signature does not hold under key ${key.id}`, `签名在密钥 ${key.id} 下不成立`);
}

// ------------------------------------------------------------------------------------------------------------------------- DER

export function readDer(data, at, end, where) {
  const cut = () => new Fault(where, "not DER", "不是 DER 编码");
  if (at + 2 > end) throw cut();
  const tag = data[at];
  let size = data[at + 1], body = at + 2;
  if (size >= 0x80) {
    const width = size & 0x7f;
    if (width < 1 || width > 3 || body + width > end || data[body] === 0) throw cut();
    size = 0;
    for (let place = 0; place < width; place++) size = size * 256 + data[body + place];
    if (size < 0x80) throw cut();
    body += width;
  }
  if (body + size > end || (tag & 31) === 31) throw cut();
  return { tag, start: at, body, end: body + size, raw: data.subarray(at, body + size), value: data.subarray(body, body + size) };
}

function items(data, where) {
  const out = [];
  for (let at = 0; at < data.length; at = out[out.length - 1].end) out.push(readDer(data, at, data.length, where));
  return out;
}

function only(data, tag, where) {
  const one = readDer(data, 0, data.length, where);
  need(one.tag === tag && one.end === data.length, where, "not DER", "不是 DER 编码");
  return one;
}

const OID = {
  ecdsaSha256: "2a8648ce3d040302", commonName: "550403", basic: "551d13", usage: "551d0f", extended: "551d25", names: "551d11",
};
// 2.25.121024536163472583784080664971775462288: the extended key usage of keys that sign records
const RECORD_SIGNING = toHex(Uint8Array.of(0x69, ...base128(121024536163472583784080664971775462288n)));
const IMPORT_SIGNING = toHex(Uint8Array.of(0x69, ...base128(258639158587577803627900524760188699747n))); // 2.25....: of imported files

function base128(value) {
  const out = [Number(value & 127n)];
  for (value >>= 7n; value > 0n; value >>= 7n) out.unshift(Number(value & 127n) | 128);
  return out;
}

// ---------------------------------------------------------------------------------------------------------------- certificates

export function parseCertificate(der) {
  const where = "certificate";
  need(der.length <= 8192, where, "too long", "过长");
  const [body, algorithm, signature, ...more] = items(only(der, 0x30, where).value, where);
  need(body?.tag === 0x30 && algorithm?.tag === 0x30 && signature?.tag === 3 && !more.length, where, "not a certificate", "不是证书");
  const parts = items(body.value, where);
  need(parts.length === 8 && parts[0].tag === 0xa0 && parts[7].tag === 0xa3, where, "not a certificate of version 3", "不是第 3 版证书");
  const [, , inner, issuer, validity, subject, spki, wrapped] = parts;
  need(same(inner.raw, algorithm.raw), where, "names two signature algorithms", "写有两种签名算法");
  const key = keyFromSpki(spki.raw);
  need(key.algorithm === ES256, where, "only P-256 keys are certified", "只认证 P-256 密钥");
  const [from, until] = items(validity.value, where).map((one) => certificateTime(one, where));
  return {
    der, key, issuer: issuer.raw, subject: subject.raw, name: commonName(subject.value, where), from, until,
    body: body.raw, algorithm: toHex(items(algorithm.value, where)[0]?.value ?? []), signature: signature.value,
    fingerprint: toHex(sha256(der)), extensions: extensions(wrapped, where),
  };
}

function extensions(wrapped, where) {
  const found = new Map();
  for (const one of items(only(wrapped.value, 0x30, where).value, where)) {
    const fields = items(one.value, where);
    const oid = toHex(fields[0].value);
    const critical = fields.length === 3 && fields[1].tag === 1 && fields[1].value[0] === 0xff;
    need(!found.has(oid) && fields[fields.length - 1].tag === 4, where, "an extension stands twice", "扩展项重复");
    found.set(oid, { critical, value: fields[fields.length - 1].value });
  }
  return found;
}

function commonName(name, where) {
  const found = [];
  for (const set of items(name, where))
    for (const pair of items(set.value, where)) {
      const [oid, value] = items(pair.value, where);
      if (toHex(oid.value) === OID.commonName) found.push(fromUtf8(value.value, where));
    }
  return found.length === 1 ? found[0] : null;
}

// Give Unix ns.
function certificateTime(one, where) {
  const text = fromUtf8(one.value, where);
  const form = one.tag === 0x17 ? /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/ : /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
  const found = form.exec(text);
  need(found, where, "a time is none", "时间格式错误");
  const [year, month, ...rest] = found.slice(1).map(Number);
  const full = one.tag === 0x17 ? (year < 50 ? 2000 : 1900) + year : year;
  return BigInt(Date.UTC(full, month - 1, ...rest)) * 1000000n;
}

// Read a PEM file that must be exactly one certificate in the usual spelling.
export function parsePem(data, where) {
  const text = fromUtf8(data, where);
  const lines = text.split("\n");
  const body = lines.slice(1, -2).join("");
  const der = fromBase64(body, where);
  const again = `-----BEGIN CERTIFICATE-----\n${toBase64(der).replace(/.{64}(?=.)/g, "$&\n")}\n-----END CERTIFICATE-----\n`;
  need(again === text, where, "not exactly one certificate", "不是恰好一张证书");
  return parseCertificate(der);
}

function authority(certificate) {
  const basic = certificate.extensions.get(OID.basic), usage = certificate.extensions.get(OID.usage);
  const flag = basic && items(only(basic.value, 0x30, "certificate").value, "certificate")[0];
  const bits = usage && only(usage.value, 3, "certificate").value;
  return Boolean(flag && flag.tag === 1 && flag.value[0] === 0xff && bits && bits[1] & 0x04);
}

function urnParts(certificate) {
  const names = certificate.extensions.get(OID.names);
  const all = names ? items(only(names.value, 0x30, "certificate").value, "certificate") : [];
  const ours = all.filter((one) => one.tag === 0x86).map((one) => fromUtf8(one.value, "certificate")).filter((text) => text.startsWith("urn:portwitness:"));
  need(ours.length === 1, "certificate", "does not name one box or site", "没有指明唯一的边缘盒或口岸");
  return ours[0].slice("urn:portwitness:".length).split(":");
}

function checkUsable(certificate, at, where) {
  need(certificate.from <= at && at <= certificate.until, where, "was not valid at that time", "当时不在有效期内");
  for (const [oid, one] of certificate.extensions)
    need(!one.critical || [OID.basic, OID.usage, OID.extended, OID.names].includes(oid), where, "a critical extension is not known", "有未知的关键扩展项");
}

async function checkIssued(certificate, issuer, where) {
  need(same(certificate.issuer, issuer.subject) && certificate.algorithm === OID.ecdsaSha256, where, "not issued by this authority", "不是由该机构签发");
  await checkSignature(issuer.key, rawSignature(certificate.signature), certificate.body, where);
}

// Turn an X.509 bit string with a DER pair into r||s.
function rawSignature(bits) {
  const where = "certificate";
  const pair = items(only(bits.subarray(1), 0x30, where).value, where);
  need(bits[0] === 0 && pair.length === 2, where, "signature is none", "签名格式错误");
  return join(...pair.map((one) => {
    const value = one.value[0] === 0 ? one.value.subarray(1) : one.value;
    need(one.tag === 2 && value.length <= 32, where, "signature is none", "签名格式错误");
    return join(new Uint8Array(32 - value.length), value);
  }));
}

// Check a box's certificate up to the trusted root at an instant; give {site, box, imports}.
export async function checkBox(leaf, others, rootSha256, at) {
  const root = others.find((one) => one.fingerprint === rootSha256);
  need(root, "root certificate", "no certificate with the trusted fingerprint", "没有与信任指纹相符的根证书");
  need(authority(root), "root certificate", "may not sign certificates", "无权签发证书");
  checkUsable(root, at, "root certificate");
  await checkIssued(root, root, "root certificate");
  const site = others.find((one) => one !== root && same(one.subject, leaf.issuer) && authority(one));
  need(site, "certificate", "its issuer is not given", "缺少其签发机构的证书");
  checkUsable(site, at, "site CA certificate");
  await checkIssued(site, root, "site CA certificate");
  checkUsable(leaf, at, "box certificate");
  need(!authority(leaf), "box certificate", "is an authority, not a box", "是签发机构而不是边缘盒");
  await checkIssued(leaf, site, "box certificate");
  const parts = urnParts(leaf);
  need(parts.length === 2 && leaf.name === parts[1], "box certificate", "does not name a box of a site", "没有指明口岸的边缘盒");
  const extended = leaf.extensions.get(OID.extended);
  const usages = extended ? items(only(extended.value, 0x30, "certificate").value, "certificate").map((one) => toHex(one.value)) : [];
  const imports = usages.includes(IMPORT_SIGNING);
  need(imports !== usages.includes(RECORD_SIGNING), "box certificate", "is not for signing records, or for live capture and imports at once", "不是用于签署记录的证书,或同时用于实时采集和导入");
  need(urnParts(site)[0] === parts[0], "box certificate", "was issued by the CA of another site", "由其他口岸的机构签发");
  return { site: parts[0], box: parts[1], imports };
}
