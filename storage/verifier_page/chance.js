// What a draw makes of its seed: HMAC-SHA256 (RFC 2104), SHAKE-256 (FIPS 202), and the integer logarithm that weighs inspectors.

import { Sha256, join, toUtf8 } from "./bytes.js";

// Give a function that authenticates texts under one key of at most 64 bytes.
export function hmacOf(key) {
  const inner = new Uint8Array(64).fill(0x36), outer = new Uint8Array(64).fill(0x5c);
  key.forEach((value, at) => {
    inner[at] ^= value;
    outer[at] ^= value;
  });
  const begun = new Sha256().update(inner), ended = new Sha256().update(outer);
  return (text) => ended.copy().update(begun.copy().update(toUtf8(text)).digest()).digest();
}

const KECCAK = [
  "0000000000000001", "0000000000008082", "800000000000808a", "8000000080008000", "000000000000808b", "0000000080000001", "8000000080008081",
  "8000000000008009", "000000000000008a", "0000000000000088", "0000000080008009", "000000008000000a", "000000008000808b", "800000000000008b",
  "8000000000008089", "8000000000008003", "8000000000008002", "8000000000000080", "000000000000800a", "800000008000000a", "8000000080008081",
  "8000000000008080", "0000000080000001", "8000000080008008",
].map((text) => [parseInt(text.slice(8), 16) | 0, parseInt(text.slice(0, 8), 16) | 0]);
const LANES = [10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1];
const TURNS = [1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44];
const RATE = 136;

// One permutation of 25 lanes of 64 bits, each as its low and its high half.
function permute(s) {
  const low = new Int32Array(5), high = new Int32Array(5);
  const turn = (at, l, h, by) => {
    if (by >= 32) [l, h, by] = [h, l, by - 32];
    s[at] = by ? (l << by) | (h >>> (32 - by)) : l;
    s[at + 1] = by ? (h << by) | (l >>> (32 - by)) : h;
  };
  for (const [roundLow, roundHigh] of KECCAK) {
    for (let x = 0; x < 5; x++) {
      low[x] = s[2 * x] ^ s[2 * x + 10] ^ s[2 * x + 20] ^ s[2 * x + 30] ^ s[2 * x + 40];
      high[x] = s[2 * x + 1] ^ s[2 * x + 11] ^ s[2 * x + 21] ^ s[2 * x + 31] ^ s[2 * x + 41];
    }
    for (let x = 0; x < 5; x++) {
      const l = low[(x + 1) % 5], h = high[(x + 1) % 5], before = (x + 4) % 5;
      const dl = low[before] ^ ((l << 1) | (h >>> 31)), dh = high[before] ^ ((h << 1) | (l >>> 31));
      for (let y = 0; y < 50; y += 10) {
        s[2 * x + y] ^= dl;
        s[2 * x + y + 1] ^= dh;
      }
    }
    let l = s[2], h = s[3];
    for (let at = 0; at < 24; at++) {
      const place = 2 * LANES[at], keptLow = s[place], keptHigh = s[place + 1];
      turn(place, l, h, TURNS[at]);
      [l, h] = [keptLow, keptHigh];
    }
    for (let y = 0; y < 50; y += 10) {
      for (let x = 0; x < 5; x++) [low[x], high[x]] = [s[y + 2 * x], s[y + 2 * x + 1]];
      for (let x = 0; x < 5; x++) {
        s[y + 2 * x] = low[x] ^ (~low[(x + 1) % 5] & low[(x + 2) % 5]);
        s[y + 2 * x + 1] = high[x] ^ (~high[(x + 1) % 5] & high[(x + 2) % 5]);
      }
    }
    s[0] ^= roundLow;
    s[1] ^= roundHigh;
  }
}

export function shake256(data, length) {
  const padded = new Uint8Array(Math.ceil((data.length + 1) / RATE) * RATE);
  padded.set(data);
  padded[data.length] ^= 0x1f;
  padded[padded.length - 1] ^= 0x80;
  const state = new Int32Array(50), view = new DataView(padded.buffer);
  for (let at = 0; at < padded.length; at += RATE) {
    for (let word = 0; word < RATE / 4; word++) state[word] ^= view.getInt32(at + 4 * word, true);
    permute(state);
  }
  const out = new Uint8Array(Math.ceil(length / RATE) * RATE), shown = new DataView(out.buffer);
  for (let at = 0; at < out.length; at += RATE) {
    if (at) permute(state);
    for (let word = 0; word < RATE / 4; word++) shown.setInt32(at + 4 * word, state[word], true);
  }
  return out.subarray(0, length);
}

const DOMAIN = join(toUtf8("portwitness/inspectors/v1"), Uint8Array.of(0));

// The 32-bit number of each inspector of the pool's list for a declaration.
export function inspectorNumbers(seed, declaration, count) {
  const data = shake256(join(DOMAIN, seed, toUtf8(declaration)), 4 * count), view = new DataView(data.buffer, data.byteOffset);
  return Array.from({ length: count }, (_, at) => view.getUint32(4 * at));
}

const BITS = 104n;

// ln(n / d) for a ratio from 1 to 2, in units of 2^-104, rounded down term by term.
function lnOf(n, d) {
  let power = ((n - d) << BITS) / (n + d), total = power, odd = 1n;
  const square = (power * power) >> BITS;
  while (power) {
    power = (power * square) >> BITS;
    odd += 2n;
    total += power / odd;
  }
  return 2n * total;
}

const LN_2 = lnOf(2n, 1n);

// -ln(1 - (2v + 1) / 2^33) in units of 2^-80, rounded down.
export function minusLog(v) {
  const rest = (1n << 33n) - 2n * BigInt(v) - 1n, exponent = BigInt(rest.toString(2).length);
  return ((33n - exponent) * LN_2 + lnOf(1n << exponent, rest)) >> 24n;
}
