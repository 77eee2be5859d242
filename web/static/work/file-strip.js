// The files of an answer, small, each with where it is; one that is not signed yet may be taken out again.
import { fill, h } from "../dom.js";
import { known, t } from "../words.js";
import { sayFile } from "./saying.js";
import { fileTicks, uploadTicks } from "./upload-ticks.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./store.js").KeptFile} KeptFile */

export class FileStrip extends HTMLElement {
  /** @param {Phone} phone @param {((sha256: string) => void) | null} drop */
  constructor(phone, drop) {
    super();
    this.phone = phone;
    this.drop = drop;
    this.shown = "";
    /** @type {Map<string, string>} */
    this.pictures = new Map();
  }

  disconnectedCallback() {
    for (const url of this.pictures.values()) URL.revokeObjectURL(url);
    this.pictures.clear();
    this.shown = "";
  }

  /** @param {string[]} names @param {Map<string, KeptFile>} files @param {Set<string>} signed */
  show(names, files, signed) {
    const shown = JSON.stringify(names.map((name) => [name, files.get(name)?.state, files.get(name)?.have, files.get(name)?.why, signed.has(name)]));
    if (shown === this.shown) return;
    this.shown = shown;
    fill(this, ...names.map((name) => this.one(name, files.get(name), signed.has(name))));
  }

  /** @param {string} name @param {KeptFile | undefined} file @param {boolean} isSigned */
  one(name, file, isSigned) {
    const drop = this.drop && !isSigned ? h("button", { type: "button", class: "quiet", "aria-label": t("work.drop-file"), onclick: () => this.drop?.(name) }, "✕") : null;
    return h(
      "figure",
      { class: "work-file-card", "data-file": name },
      this.picture(name, file),
      h("figcaption", {}, h("span", { class: "small" }, file ? sayFile(file) : t("work.other-phone")), file ? fileTicks(file) : uploadTicks("hub"), drop),
    );
  }

  /** @param {string} name @param {KeptFile | undefined} file */
  picture(name, file) {
    if (!file) return h("img", { src: `/api/v1/files/${name}/content`, alt: t("work.other-phone"), loading: "lazy" });
    if (!file.blob) return h("span", { class: "work-blank" }, known("work.file", file.kind));
    const url = this.pictures.get(name) ?? URL.createObjectURL(file.blob);
    this.pictures.set(name, url);
    if (file.kind === "photo" || file.kind === "signature") return h("img", { src: url, alt: known("work.file", file.kind) });
    return h(file.kind === "video" ? "video" : "audio", { src: url, controls: true, preload: "metadata", "aria-label": known("work.file", file.kind) });
  }
}

customElements.define("file-strip", FileStrip);
