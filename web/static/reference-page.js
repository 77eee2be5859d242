// Reference data: categories, their entries, one entry with its history; administrators set and retire, everybody inside it reads.
import { call, mayBe, part, Refusal } from "./api.js";
import { whenChanged } from "./changes.js";
import { askFor } from "./confirming.js";
import { differences } from "./declaration-shape.js";
import { fill, h, values } from "./dom.js";
import { SchemaForm } from "./schema-form.js";
import { known, moment, t } from "./words.js";

/** @typedef {{issuer: string, epoch: number, position: number}} Place */
/** @typedef {{category: string, key: string, version: number, retired: boolean, at_ms: number, value: Record<string, any> | null, by: string | null, reason: string | null, record: Place}} Kept */
/** @typedef {{name: string, entries: number, form: Record<string, any>, key: string}} Category */

/** Attributes `category` and `key`, both optional. */
export class ReferencePage extends HTMLElement {
  constructor() {
    super();
    this.tabs = h("nav", { class: "row tabs", "aria-label": t("reference.categories") });
    this.said = h("p", { class: "notice hidden", role: "status", tabindex: "-1" });
    this.body = h("div", { class: "stack" }, h("p", { class: "pulse" }, t("app.loading")));
    /** @type {Category[]} */
    this.categories = [];
    this.retired = false;
    this.editing = false;
    this.unhear = () => {};
  }

  get category() {
    return this.getAttribute("category") || "enterprise";
  }

  get key() {
    return this.getAttribute("key") ?? "";
  }

  connectedCallback() {
    this.classList.add("stack");
    this.style.display = "block";
    const back = this.key ? h("a", { class: "button", href: `/references/${this.category}` }, t("reference.all")) : null;
    fill(this, h("div", { class: "page-head" }, h("h1", {}, this.key ? `${t(`reference.category-${this.category}`)} ${this.key}` : t("nav.references")), back), this.tabs, this.said, this.body);
    this.unhear = whenChanged(["reference"], () => (this.editing ? undefined : this.refresh()));
    void this.refresh();
  }

  disconnectedCallback() {
    this.unhear();
  }

  async refresh() {
    try {
      this.categories = (await call("GET", "references")).categories;
      fill(this.tabs, ...this.categories.map((one) => h("a", { class: "button", href: `/references/${one.name}`, "aria-current": one.name === this.category ? "page" : null }, t(`reference.category-${one.name}`), h("span", { class: "soft" }, ` ${one.entries}`))));
      if (this.key) await this.one();
      else await this.all();
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad", role: "alert" }, error instanceof Error ? error.message : ""));
    }
  }

  async all() {
    const answer = await call("GET", `references/${part(this.category)}?retired=${this.retired}`);
    const entries = /** @type {Kept[]} */ (answer.entries);
    const toggle = h("button", { "aria-pressed": String(this.retired), onclick: () => ((this.retired = !this.retired), void this.refresh()) }, t("reference.with-retired"));
    const rows = entries.map((one) =>
      h(
        "tr",
        {},
        h("td", { "data-name": t("reference.key") }, h("a", { href: `/references/${part(one.category)}/${part(one.key)}` }, one.key)),
        h("td", { "data-name": t("reference.says") }, one.value ? brief(one.value) : "–"),
        h("td", { "data-name": t("declaration.state") }, h("span", { class: `badge ${one.retired ? "off" : "good"}` }, h("i"), t(one.retired ? "reference.retired" : "reference.in-use"))),
        h("td", { "data-name": t("declaration.version") }, String(one.version)),
        h("td", { "data-name": t("declaration.changed") }, moment(one.at_ms)),
      ),
    );
    const heads = ["reference.key", "reference.says", "declaration.state", "declaration.version", "declaration.changed"];
    fill(
      this.body,
      h("p", { class: "soft" }, t(`reference.about-${this.category}`)),
      h("div", { class: "row" }, mayBe("administrator") && this.newOne(), toggle),
      rows.length ? h("div", { class: "card scroll" }, h("table", { class: "fold" }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, t(head))))), h("tbody", {}, ...rows))) : h("div", { class: "empty" }, h("p", {}, t("reference.none")), mayBe("administrator") ? h("p", {}, t("reference.none-do")) : null),
    );
  }

  newOne() {
    const shape = this.categories.find((one) => one.name === this.category);
    const form = h(
      "form",
      {
        class: "row align-end",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          history.pushState(null, "", `/references/${part(this.category)}/${part(values(form)["key"] ?? "")}`);
          dispatchEvent(new PopStateEvent("popstate"));
        },
      },
      h("label", {}, h("span", {}, t("reference.new-key")), h("input", { name: "key", required: true, maxlength: "64", pattern: shape?.key ?? null, title: t(`reference.key-${this.category}`), autocapitalize: "none" })),
      h("button", { class: "primary" }, t("reference.new")),
    );
    return form;
  }

  async one() {
    const path = `references/${part(this.category)}/${part(this.key)}`;
    const versions = /** @type {Kept[]} */ ((await call("GET", `${path}/history`)).entries);
    const newest = versions.at(-1);
    const standing = [...versions].reverse().find((one) => one.value) ?? null;
    this.editing = mayBe("administrator");
    fill(this.body, newest?.retired && h("p", { class: "notice" }, t("reference.is-retired")), this.editing ? this.form(path, newest, standing) : standing && h("section", { class: "card" }, h("dl", {}, ...facts(standing.value))), versions.length > 0 && this.history(versions));
  }

  /** @param {string} path @param {Kept | undefined} newest @param {Kept | null} standing */
  form(path, newest, standing) {
    const shape = this.categories.find((one) => one.name === this.category);
    const fields = new SchemaForm();
    fields.show(shape?.form ?? {}, standing?.value ?? {});
    const retire = async () => {
      const reason = await askFor(t("reference.retire-effect", { key: this.key }), t("form.reason"), t("reference.retire"));
      if (reason !== null) await this.act(() => call("POST", `${path}/retirement`, { reason }));
    };
    const form = h(
      "form",
      {
        class: "card stack",
        novalidate: true,
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          const reason = values(form)["reason"] ?? "";
          void this.act(() => call("PUT", path, { form: fields.value(), reason, after: newest?.version ?? 0 }), fields);
        },
      },
      h("h2", {}, t(newest ? "reference.change" : "reference.new")),
      fields,
      h("label", {}, h("span", {}, t("form.reason")), h("input", { name: "reason", maxlength: "1000" })),
      h("div", { class: "row" }, h("button", { class: "primary" }, t("reference.set")), newest && !newest.retired && h("button", { type: "button", class: "danger", onclick: () => void retire() }, t("reference.retire"))),
    );
    return form;
  }

  /** @param {Kept[]} versions */
  history(versions) {
    const rows = versions.map((one, at) => {
      const before = versions.slice(0, at).reverse().find((other) => other.value)?.value ?? {};
      const changed = one.value ? differences(before, one.value) : [];
      const what = one.retired ? t("reference.retired") : changed.map(([place, was, is]) => h("div", { class: "small" }, `${member(place)}: `, was && h("del", {}, known("choice", was)), was && " ", is ? h("ins", {}, known("choice", is)) : "–"));
      return h("li", { class: "list-item" }, h("div", { class: "grow" }, h("strong", {}, t("declaration.version-one", { version: one.version })), h("div", { class: "soft small" }, `${moment(one.at_ms)} · ${one.by ?? t("reference.erased")}`), one.reason && h("div", {}, one.reason), h("div", {}, what)), h("a", { href: `/records/${one.record.issuer}/${one.record.epoch}/${one.record.position}` }, t("declaration.record", { position: String(one.record.position) })));
    });
    return h("section", { class: "card" }, h("h2", {}, t("declaration.history")), h("ul", {}, ...rows.reverse()));
  }

  /** @param {() => Promise<unknown>} work @param {SchemaForm | null} [fields] */
  async act(work, fields = null) {
    try {
      await work();
      await this.refresh();
      this.said.className = "notice good";
      this.said.textContent = t("reference.done");
    } catch (error) {
      const rest = error instanceof Refusal && error.faults.length && fields ? fields.tell(error.faults) : [];
      this.said.className = "notice bad";
      this.said.textContent = [error instanceof Error ? error.message : "", ...rest.map((fault) => `${fault.path}: ${fault.what}`)].join(" ");
    }
  }
}

/** A path in words: the member, and of a list which one. @param {string} path */
function member(path) {
  const [, name = path, at, rest] = /^(\w+)\[(\d+)\]\.?(\w*)/.exec(path) ?? [];
  return [known("entry", name).replace(/\s*[（(].*[)）]$/, ""), at && String(Number(at) + 1), rest && known("entry", rest)].filter(Boolean).join(" ");
}

/** @param {Record<string, any>} value */
function brief(value) {
  return ["name", "title", "display", "disease", "origin", "name_en"].map((name) => value[name]).filter(Boolean).slice(0, 2).join(" · ");
}

/** @param {Record<string, any> | null} value */
function facts(value) {
  return differences({}, value).flatMap(([place, , text]) => [h("dt", {}, member(place)), h("dd", {}, known("choice", text))]);
}

customElements.define("reference-page", ReferencePage);
