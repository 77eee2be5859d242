// The files that go with a declaration: hashed here, sent in parts, named in the form by their SHA-256.
import { Refusal } from "./api.js";
import { fill, h } from "./dom.js";
import { sendFile } from "./sending-files.js";
import { bytes, known, t } from "./words.js";

/** @typedef {{name: string, kind: string, sha256: string, size: number}} Attachment */

const KINDS = ["invoice", "packing list", "bill of lading", "contract", "certificate", "photo", "other"];

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
      this.progress?.classList.remove("hidden");
      const { sha256, size } = await sendFile(file, "declaration", (share) => this.progress && (this.progress.value = share));
      if (!this.list?.some((one) => one.sha256 === sha256)) this.list?.push({ name: file.name.trim().slice(0, 200), kind, sha256, size });
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
}

customElements.define("attached-files", AttachedFiles);
