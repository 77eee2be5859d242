// Bytes, their spellings, and SHA-256 (FIPS 180-4) that can be fed piece by piece, which WebCrypto's cannot.

export const SECOND = 1000000000n, MILLISECOND = 1000000n; // in ns

// What is wrong, in both languages; `where` names the part.
export class Fault extends Error {
  constructor(where, en, zh) {
    super(`${where}: ${en}`);
    this.where = where;
    this.en = en;
    this.zh = zh;
  }
}

export function need(holds, where, en, zh) {
  if (!holds) throw new Fault(where, en, zh);
}

const DIGITS = Array.from({ length: 256 }, (_, value) => value.toString(16).padStart(2, "0"));

export function toHex(data) {
  let out = "";
  for (const value of data) out += DIGITS[value];
  return out;
}

export function fromHex(text) {
  const out = new Uint8Array(text.length / 2);
  for (let at = 0; at < out.length; at++) out[at] = parseInt(text.substr(2 * at, 2), 16);
  return out;
}

export function same(one, two) {
  if (!one || !two || one.length !== two.length) return false;
  for (let at = 0; at < one.length; at++) if (one[at] !== two[at]) return false;
  return true;
}

export function join(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function bigEndian(data, at, width) {
  let value = 0;
  for (let place = at; place < at + width; place++) value = value * 256 + data[place];
  return value;
}

export function bigEndian64(value) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function toUtf8(text) {
  return ENCODER.encode(text);
}

export function fromUtf8(data, where) {
  try {
    return DECODER.decode(data);
  } catch {
    throw new Fault(where, "not UTF-8", "不是 UTF-8 文本");
  }
}

export function toBase64(data) {
  let text = "";
  for (const value of data) text += String.fromCharCode(value);
  return btoa(text);
}

// Base64 in its only spelling (RFC 4648 section 4, padded).
export function fromBase64(text, where) {
  need(/^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0, where, "not base64", "不是 base64");
  let raw;
  try {
    raw = atob(text);
  } catch {
    throw new Fault(where, "not base64", "不是 base64");
  }
  const out = Uint8Array.from(raw, (one) => one.charCodeAt(0));
  need(toBase64(out) === text, where, "not the only spelling of its base64", "base64 写法不唯一");
  return out;
}

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2).
const ROUND = new Int32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
]);
const START = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19];
const SCHEDULE = new Int32Array(64);

export class Sha256 {
  constructor() {
    this.state = Int32Array.from(START);
    this.rest = new Uint8Array(64);
    this.length = 0;
  }

  copy() {
    const other = new Sha256();
    other.state.set(this.state);
    other.rest.set(this.rest);
    other.length = this.length;
    return other;
  }

  update(data) {
    let at = 0;
    const held = this.length % 64;
    this.length += data.length;
    if (held) {
      const room = Math.min(64 - held, data.length);
      this.rest.set(data.subarray(0, room), held);
      at = room;
      if (held + room < 64) return this;
      compress(this.state, this.rest, 0);
    }
    for (; at + 64 <= data.length; at += 64) compress(this.state, data, at);
    this.rest.set(data.subarray(at), 0);
    return this;
  }

  digest() {
    const last = this.copy();
    const held = this.length % 64;
    const tail = new Uint8Array(held < 56 ? 64 - held : 128 - held);
    tail[0] = 0x80;
    new DataView(tail.buffer).setBigUint64(tail.length - 8, BigInt(this.length) * 8n);
    last.update(tail);
    const out = new Uint8Array(32);
    const view = new DataView(out.buffer);
    last.state.forEach((word, place) => view.setInt32(4 * place, word));
    return out;
  }
}

function compress(state, data, at) {
  const w = SCHEDULE;
  for (let i = 0; i < 16; i++, at += 4) w[i] = (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3];
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15], y = w[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    w[i] = (w[i - 16] + s0 + w[i - 7] + s1) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + ROUND[i] + w[i]) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

export function sha256(...parts) {
  const hash = new Sha256();
  for (const part of parts) hash.update(part);
  return hash.digest();
}
