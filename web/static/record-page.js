// A record opened: what it says, and its proof, recomputed here from its leaf up to the checkpoint's root (RFC 9162 §2.1.3.2).
import { call, part } from "./api.js";
import { fill, h } from "./dom.js";
import { evidenceState } from "./evidence-state.js";
import { bytes, known, moment, several, t } from "./words.js";

/** @typedef {{record: {issuer: string, epoch: number, position: number}, kind: string, subject: string, wall_ms: number, mono_ns: string, sync: string, error_ms: number | null, seen_size: number | null, body: Record<string, unknown>, data_hex: string, leaf: string, state: "logged" | "persisted", log_index: number | null, log_size: number | null, log_leaf: string | null, path: string[], checkpoint: string | null}} OpenedRecord */

/** Attribute `place`: issuer/epoch/position, as in the address. */
export class RecordPage extends HTMLElement {
  connectedCallback() {
    this.classList.add("stack");
    this.style.display = "block";
    fill(this, h("p", { class: "empty pulse" }, t("app.loading")));
    void this.refresh();
  }

  async refresh() {
    try {
      const record = /** @type {OpenedRecord} */ (await call("GET", `records/${this.getAttribute("place") ?? ""}`));
      const proof = await prove(record);
      this.draw(record, proof);
    } catch (error) {
      fill(this, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""), h("a", { href: "/tasks" }, t("nav.tasks")));
    }
  }

  /** @param {OpenedRecord} record @param {"verified" | "pending" | "failed"} proof */
  draw(record, proof) {
    const { issuer, epoch, position } = record.record;
    /** @type {[string, string | Node][]} */
    const facts = [
      [t("record.kind"), `${known("kind", record.kind)} (${record.kind})`],
      [t("record.issuer"), issuer],
      [t("record.place"), t("record.position", { epoch, position })],
      [t("record.subject"), record.subject],
      [t("record.time"), `${moment(record.wall_ms)} · ${known("sync", record.sync)}${record.error_ms === null ? "" : ` ± ${record.error_ms} ms`}`],
      [t("record.seen"), record.seen_size === null ? t("record.seen-none") : t("record.seen-size", { size: record.seen_size })],
    ];
    const body = Object.entries(record.body).filter(([, value]) => value !== null);
    fill(
      this,
      h("div", { class: "page-head" }, h("h1", {}, `${known("kind", record.kind)} · ${issuer} ${epoch}/${position}`), evidenceState(proof, t(`proof.${proof}`))),
      h("section", { class: "card" }, h("h2", {}, t("record.facts")), list(facts)),
      h("section", { class: "card" }, h("h2", {}, t("record.body")), list(body.map(([key, value]) => [known("field", key), worded(key, value)]))),
      h(
        "section",
        { class: "card stack" },
        h("h2", {}, t("record.proof")),
        h("p", {}, t(`proof.${proof}-about`)),
        list([
          [t("record.leaf"), h("code", {}, record.leaf)],
          [t("record.index"), record.log_index === null ? "—" : `${record.log_index} / ${record.log_size ?? "—"}`],
          [t("record.path"), h("code", {}, record.path.join(" ") || "—")],
        ]),
        record.checkpoint && h("pre", { class: "mono scroll" }, record.checkpoint),
        h("details", {}, h("summary", {}, t("record.bytes")), h("code", {}, record.data_hex)),
      ),
    );
  }
}

const WALL = ["wall_from", "wall_to", "late_from", "start_ns", "end_ns", "before_ns", "after_ns", "expected_end_ns", "from_ns", "to_ns", "closes_ns"];
const HELD = ["mono_from", "mono_to", "until_mono_ns", "at_mono", "step_ns"];

/** Say a field's value as people read it; what only machines read stays as it is. @param {string} key @param {unknown} value */
function worded(key, value) {
  if (WALL.includes(key)) return h("span", {}, `${moment(Number(value) / 1e6)}.${String(Math.floor(Number(value) / 1e6) % 1000).padStart(3, "0")} `, h("code", { class: "soft small" }, `${value} ns`));
  if (HELD.includes(key)) return h("span", {}, `${(Number(value) / 1e9).toFixed(3)} s `, h("code", { class: "soft small" }, `${value} ns`));
  if (key === "size" && typeof value === "number") return bytes(value);
  if (typeof value === "boolean") return t(value ? "app.yes" : "app.no");
  if (Array.isArray(value) && !value.length) return t("app.none");
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return several(value);
  if (key === "facts" && Array.isArray(value)) return several(value.map(([name, text]) => `${known("fact", name)}${t("app.colon")}${text}`));
  if (key === "state") return known("record-state", String(value));
  if (key === "cause") return known("cause", String(value));
  return h("code", {}, typeof value === "string" ? value : JSON.stringify(value));
}

/** @param {[string, string | Node][]} rows */
function list(rows) {
  return h("dl", {}, ...rows.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)]));
}

/** Recompute what the hub says. @param {OpenedRecord} record @returns {Promise<"verified" | "pending" | "failed">} */
async function prove(record) {
  if (record.log_index === null || record.log_size === null || !record.checkpoint || !record.log_leaf) return "pending";
  if (!crypto.subtle) return "pending";
  const own = toHex(await hash(new Uint8Array([0, ...fromHex(record.data_hex)])));
  const isOwnLeaf = record.record.issuer.startsWith("hub:");
  if (own !== record.leaf || (isOwnLeaf && record.log_leaf !== own)) return "failed";
  const root = await rootFrom(record.log_index, record.log_size, fromHex(record.log_leaf), record.path.map(fromHex));
  return root !== null && btoa(String.fromCharCode(...root)) === record.checkpoint.split("\n")[2] ? "verified" : "failed";
}

/** @param {number} index @param {number} size @param {Uint8Array} leaf @param {Uint8Array[]} path */
async function rootFrom(index, size, leaf, path) {
  let [node, last, root] = [index, size - 1, leaf];
  for (const sibling of path) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      root = await hash(new Uint8Array([1, ...sibling, ...root]));
      while (node % 2 === 0 && node !== 0) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
    } else root = await hash(new Uint8Array([1, ...root, ...sibling]));
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 ? root : null;
}

/** @param {Uint8Array<ArrayBuffer>} data */
async function hash(data) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** @param {string} text */
function fromHex(text) {
  return new Uint8Array((text.match(/../g) ?? []).map((pair) => parseInt(pair, 16)));
}

/** @param {Uint8Array} data */
function toHex(data) {
  return [...data].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

customElements.define("record-page", RecordPage);

/** The attribute from an address. @param {string[]} parts */
export function placeOf(parts) {
  return parts.map((one) => part(decodeURIComponent(one))).join("/");
}
