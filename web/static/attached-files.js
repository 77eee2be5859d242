// The files that go with a declaration: hashed here, sent in parts, named in the form by their SHA-256.
import { call, part, Refusal, whoami } from "./api.js";
import { fill, h } from "./dom.js";
import { bytes, known, language, t } from "./words.js";

/** @typedef {{name: string, kind: string, sha256: string, size: number}} Attachment */

const KINDS = ["invoice", "packing list", "bill of lading", "contract", "certificate", "photo", "other"];
const PART_BYTES = 1 << 20;
const MOST_BYTES = 200_000_000;

export class AttachedFiles extends HTMLElement {
  /**
   * @param {Attachment[]} list changed in place
   * @param {() => void} changed
   */
  show(list, changed) {
    this.list = list;
    this.changed = changed;
    this.said = h("p", { class: "notice bad hidden", role: "alert" });
    this.progress = h("progress", { max: "1", value: "0", class: "hidden", "aria-label": t("form.sending") });
    this.draw();
  }

  draw() {
    const list = this.list ?? [];
    const kind = h("select", { name: "kind" }, ...KINDS.map((one) => h("option", { value: one }, known("choice", one))));
    const file = h("input", { type: "file", id: "attach", onchange: () => file.files?.[0] && void this.attach(file.files[0], kind.value) });
    const rows = list.map((one, at) =>
      h("li", { class: "list-item" }, h("span", { class: "grow" }, h("strong", {}, one.name), " ", h("span", { class: "soft small" }, `${known("choice", one.kind)} · ${bytes(one.size)} · `, h("code", {}, one.sha256.slice(0, 16)))), h("button", { type: "button", class: "quiet danger", "aria-label": t("form.remove", { what: one.name }), onclick: () => this.drop(at) }, t("form.remove-short"))),
    );
    fill(
      this,
      h("fieldset", { class: "card stack" }, h("legend", {}, t("form.section-attachments")), rows.length > 0 && h("ul", {}, ...rows), h("div", { class: "row align-end" }, h("label", {}, h("span", {}, t("form.attachments.kind")), kind), h("label", { class: "grow" }, h("span", {}, t("form.attach")), file)), this.progress ?? null, this.said ?? null),
    );
  }

  /** @param {number} at */
  drop(at) {
    this.list?.splice(at, 1);
    this.changed?.();
    this.draw();
    this.querySelector("select")?.focus();
  }

  /** @param {File} file @param {string} kind */
  async attach(file, kind) {
    this.said?.classList.add("hidden");
    try {
      if (file.size > MOST_BYTES || file.size === 0) throw new Error(t("form.file-size", { most: bytes(MOST_BYTES) }));
      const data = await file.arrayBuffer();
      const sha256 = [...new Uint8Array(await crypto.subtle.digest("SHA-256", data))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      const name = file.name.trim().slice(0, 200);
      const told = await call("POST", "files", { sha256, size: file.size, name: name.slice(0, 120), kind: "document", about: "declaration" });
      if (told.state !== "stored") await this.sendParts(sha256, data, told.have_bytes);
      if (!this.list?.some((one) => one.sha256 === sha256)) this.list?.push({ name, kind, sha256, size: file.size });
      this.changed?.();
      this.draw();
    } catch (error) {
      if (this.said) {
        this.said.textContent = error instanceof Refusal || (error instanceof Error && error.name === "Error") ? error.message : t("form.unreachable");
        this.said.classList.remove("hidden");
      }
    } finally {
      this.progress?.classList.add("hidden");
    }
  }

  /** @param {string} sha256 @param {ArrayBuffer} data @param {number} from */
  async sendParts(sha256, data, from) {
    this.progress?.classList.remove("hidden");
    for (let at = from; at < data.byteLength; at += PART_BYTES) {
      const answer = await fetch(`/api/v1/files/${part(sha256)}?offset=${at}`, {
        method: "PUT",
        body: data.slice(at, at + PART_BYTES),
        headers: { "Content-Type": "application/octet-stream", "X-CSRF-Token": whoami()?.csrf ?? "", "Accept-Language": language() },
        credentials: "same-origin",
      });
      if (!answer.ok) throw new Refusal(answer.status, (await answer.json()).error);
      if (this.progress) this.progress.value = Math.min(1, (at + PART_BYTES) / data.byteLength);
    }
  }
}

customElements.define("attached-files", AttachedFiles);
