// Send a chosen file to the hub: hashed here, announced, sent in parts from where the hub has it; the same bytes are sent once.
import { call, part, send } from "./api.js";
import { h } from "./dom.js";
import { bytes, t } from "./words.js";
import { hashOf } from "./work/hashing.js";

const PART_BYTES = 1 << 20;
const MOST_BYTES = 200_000_000;
const MAX_NAME = 120;

/**
 * Send a file; give what names it from now on.
 * @param {File} file @param {string} about what it belongs to @param {(share: number) => void} [told]
 * @returns {Promise<{name: string, sha256: string, size: number}>}
 */
export async function sendFile(file, about, told = () => {}) {
  if (file.size > MOST_BYTES || file.size === 0) throw new Error(t("form.file-size", { most: bytes(MOST_BYTES) }));
  const sha256 = await hashOf(file);
  const name = file.name.trim().slice(0, MAX_NAME) || "file";
  let stands = await call("POST", "files", { sha256, size: file.size, name, kind: "document", about });
  while (stands.state === "announced") {
    const have = stands.have_bytes;
    told(have / file.size);
    stands = await (await send("PUT", `files/${part(sha256)}?offset=${have}`, file.slice(have, have + PART_BYTES), "application/octet-stream")).json();
    if (stands.state === "announced" && stands.have_bytes <= have) throw new Error(t("form.not-taken"));
  }
  told(1);
  return { name, sha256, size: file.size };
}

/** Send several, one after the other. @param {Iterable<File>} files @param {string} about @param {(share: number) => void} [told] */
export async function sendFiles(files, about, told = () => {}) {
  const found = [];
  for (const file of files) found.push(await sendFile(file, about, told));
  return found;
}

/** The name of a file, as a link where its bytes are at the hub. @param {{name: string, sha256: string, here: boolean}} file */
export function fileName(file) {
  const name = file.here ? h("a", { href: `/api/v1/files/${part(file.sha256)}/content`, download: file.name }, file.name) : file.name;
  return h("span", {}, name, " ", h("code", { class: "soft small" }, file.sha256.slice(0, 16)), !file.here && " ", !file.here && h("span", { class: "badge wait" }, h("i"), t("declaration.file-awaited")));
}
