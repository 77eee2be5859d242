// Bytes that everybody writes alike: JSON with sorted keys and no blanks, SHA-256, hexadecimal, base64, fresh identifiers.

/** Give the canonical JSON of a value. @param {unknown} value @returns {string} */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value && typeof value === "object") {
    const rows = Object.entries(value).filter(([, each]) => each !== undefined).sort(([one], [other]) => byCodePoints(one, other));
    return `{${rows.map(([key, each]) => `${JSON.stringify(key)}:${canonical(each)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** Order texts as Python does. @param {string} one @param {string} other */
export function byCodePoints(one, other) {
  const [left, right] = [[...one], [...other]];
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    const apart = (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? 0);
    if (apart) return apart;
  }
  return left.length - right.length;
}

/** @param {string | Uint8Array<ArrayBuffer> | ArrayBuffer} data @returns {Promise<Uint8Array<ArrayBuffer>>} */
export async function sha256(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", typeof data === "string" ? new TextEncoder().encode(data) : data));
}

/** @param {Uint8Array} bytes */
export function hex(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Uint8Array} bytes */
export function base64(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
export function unbase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Give 32 fresh random hexadecimal digits. */
export function freshId() {
  return hex(crypto.getRandomValues(new Uint8Array(16)));
}
