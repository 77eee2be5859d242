// The draw's random function ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381), verification alone, in BigInt arithmetic.

import { Fault, join, need, toHex } from "./bytes.js";

const PRIME = 2n ** 255n - 19n, ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const SUITE = Uint8Array.of(3);
const modulo = (value) => ((value % PRIME) + PRIME) % PRIME;

function powerOf(base, exponent) {
  let out = 1n;
  for (base = modulo(base); exponent > 0n; exponent >>= 1n, base = (base * base) % PRIME) if (exponent & 1n) out = (out * base) % PRIME;
  return out;
}

const inverseOf = (value) => powerOf(value, PRIME - 2n);
const CURVE_D = modulo(-121665n * inverseOf(121666n)), ROOT_OF_MINUS_1 = powerOf(2n, (PRIME - 1n) / 4n);
const ZERO_POINT = [0n, 1n, 1n, 0n]; // extended coordinates (RFC 8032, 5.1.4)

function addPoints([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const less = modulo((y1 - x1) * (y2 - x2)), more = modulo((y1 + x1) * (y2 + x2));
  const cross = modulo(2n * t1 * CURVE_D * t2), twice = modulo(2n * z1 * z2);
  const e = more - less, f = twice - cross, g = twice + cross, h = more + less;
  return [modulo(e * f), modulo(g * h), modulo(f * g), modulo(e * h)];
}

function timesPoint(scalar, point) {
  let out = ZERO_POINT;
  for (let bit = scalar.toString(2).length - 1; bit >= 0; bit--) {
    out = addPoints(out, out);
    if ((scalar >> BigInt(bit)) & 1n) out = addPoints(out, point);
  }
  return out;
}

const negated = ([x, y, z, t]) => [modulo(-x), y, z, modulo(-t)];
const isZeroPoint = ([x, y, z]) => modulo(x) === 0n && modulo(y - z) === 0n;

function littleEndian(data) {
  return data.length ? BigInt(`0x${toHex(Uint8Array.from(data).reverse())}`) : 0n;
}

function encodePoint([x, y, z]) {
  const inverse = inverseOf(z), value = modulo(y * inverse) | ((modulo(x * inverse) & 1n) << 255n);
  return Uint8Array.from({ length: 32 }, (_, at) => Number((value >> BigInt(8 * at)) & 255n));
}

// Read a point; null for what is none, or another spelling of one (RFC 8032, 5.1.3).
function decodePoint(data) {
  const number = littleEndian(data), y = number & ((1n << 255n) - 1n), sign = number >> 255n;
  if (data.length !== 32 || y >= PRIME) return null;
  const u = modulo(y * y - 1n), v = modulo(CURVE_D * y * y + 1n);
  let x = modulo(u * powerOf(v, 3n) * powerOf(u * powerOf(v, 7n), (PRIME - 5n) / 8n));
  if (modulo(v * x * x) === modulo(-u)) x = modulo(x * ROOT_OF_MINUS_1);
  if (modulo(v * x * x) !== u || (x === 0n && sign)) return null;
  if ((x & 1n) !== sign) x = PRIME - x;
  return [x, y, 1n, modulo(x * y)];
}

const BASE_POINT = decodePoint(encodePoint([0n, modulo(4n * inverseOf(5n)), 1n, 0n]));

async function sha512(...parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-512", join(...parts)));
}

async function toCurve(key, alpha) {
  for (let counter = 0; counter < 256; counter++) {
    const digest = await sha512(SUITE, Uint8Array.of(1), key, alpha, Uint8Array.of(counter, 0));
    const point = decodePoint(digest.subarray(0, 32)), cleared = point && timesPoint(8n, point);
    if (cleared && !isZeroPoint(cleared)) return cleared;
  }
  throw new Fault("vrf", "no point was found for this alpha", "找不到对应的曲线点");
}

// Give the beta of a proof (RFC 9381, 5.3, with key validation); a Fault when it does not hold.
export async function verifyVrf(key, alpha, pi, where) {
  const wrong = new Fault(where, "its answer is not its key's for this pool", "其应答与密钥及本抽取池不符");
  const shared = decodePoint(key);
  need(shared && !isZeroPoint(timesPoint(8n, shared)), where, "is no public key, or one of small order", "不是公钥,或为小阶公钥");
  const gamma = pi.length === 80 ? decodePoint(pi.subarray(0, 32)) : null;
  const challenge = littleEndian(pi.subarray(32, 48)), response = littleEndian(pi.subarray(48));
  if (!gamma || response >= ORDER) throw wrong;
  const point = await toCurve(key, alpha);
  const u = addPoints(timesPoint(response, BASE_POINT), negated(timesPoint(challenge, shared)));
  const v = addPoints(timesPoint(response, point), negated(timesPoint(challenge, gamma)));
  const text = await sha512(SUITE, Uint8Array.of(2), key, ...[point, gamma, u, v].map(encodePoint), Uint8Array.of(0));
  if (littleEndian(text.subarray(0, 16)) !== challenge) throw wrong;
  return sha512(SUITE, Uint8Array.of(3), encodePoint(timesPoint(8n, gamma)), Uint8Array.of(0));
}
