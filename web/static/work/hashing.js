// SHA-256 of files: WebCrypto where a file fits well into memory at once, in pieces (FIPS 180-4) where it does not, so that a film of any
// length can be hashed on a phone.
import { hex, sha256 } from "./canonical.js";

export const AT_ONCE_BYTES = 32 * 2 ** 20; // WebCrypto wants a whole file in memory
const PIECE_BYTES = 4 * 2 ** 20;
const BLOCK = 64;

/** Give the hash of a file. @param {Blob} blob @param {(done: number) => void} [told] */
export async function hashOf(blob, told = () => {}) {
  if (blob.size <= AT_ONCE_BYTES) return hex(await sha256(await blob.arrayBuffer()));
  return hashInPieces(blob, told);
}

/** @param {Blob} blob @param {(done: number) => void} [told] @param {number} [piece] */
export async function hashInPieces(blob, told = () => {}, piece = PIECE_BYTES) {
  const running = new Running();
  for (let at = 0; at < blob.size; at += piece) {
    running.add(new Uint8Array(await blob.slice(at, at + piece).arrayBuffer()));
    told(Math.min(blob.size, at + piece));
  }
  return running.end();
}

/** The first 64 bits of what follows the point in a root of a prime, cut to 32. @param {number} power */
function constants(power) {
  const found = [];
  for (let candidate = 2; found.length < 64; candidate += 1) {
    let prime = true;
    for (let by = 2; by * by <= candidate; by += 1) if (candidate % by === 0) prime = false;
    if (prime) found.push((candidate ** (1 / power) * 2 ** 32) | 0);
  }
  return Int32Array.from(found);
}

const ROUND = constants(3);
const START = constants(2).slice(0, 8);

class Running {
  constructor() {
    this.state = Int32Array.from(START);
    this.words = new Int32Array(64);
    this.rest = new Uint8Array(BLOCK);
    this.held = 0;
    this.length = 0;
  }

  /** @param {Uint8Array} bytes */
  add(bytes) {
    this.length += bytes.length;
    let at = 0;
    if (this.held) {
      at = Math.min(BLOCK - this.held, bytes.length);
      this.rest.set(bytes.subarray(0, at), this.held);
      this.held += at;
      if (this.held < BLOCK) return;
      this.block(this.rest, 0);
    }
    for (; at + BLOCK <= bytes.length; at += BLOCK) this.block(bytes, at);
    this.rest.set(bytes.subarray(at));
    this.held = bytes.length - at;
  }

  end() {
    const bits = BigInt(this.length) * 8n;
    const tail = new Uint8Array(((this.held < 56 ? 64 : 128) - this.held) | 0);
    tail[0] = 0x80;
    new DataView(tail.buffer).setBigUint64(tail.length - 8, bits);
    this.add(tail);
    return [...this.state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
  }

  /** @param {Uint8Array} bytes @param {number} at */
  block(bytes, at) {
    const w = this.words;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, BLOCK);
    for (let i = 0; i < 16; i += 1) w[i] = view.getInt32(i * 4);
    for (let i = 16; i < 64; i += 1) {
      const [x, y] = [n(w, i - 15), n(w, i - 2)];
      w[i] = (n(w, i - 16) + (turn(x, 7) ^ turn(x, 18) ^ (x >>> 3)) + n(w, i - 7) + (turn(y, 17) ^ turn(y, 19) ^ (y >>> 10))) | 0;
    }
    let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = this.state;
    for (let i = 0; i < 64; i += 1) {
      const one = (h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + n(ROUND, i) + n(w, i)) | 0;
      const two = ((turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g;
      g = f;
      f = e;
      e = (d + one) | 0;
      d = c;
      c = b;
      b = a;
      a = (one + two) | 0;
    }
    [a, b, c, d, e, f, g, h].forEach((word, i) => (this.state[i] = (n(this.state, i) + word) | 0));
  }
}

/** @param {Int32Array} words @param {number} at */
function n(words, at) {
  return words[at] ?? 0;
}

/** @param {number} word @param {number} by */
function turn(word, by) {
  return (word >>> by) | (word << (32 - by));
}
