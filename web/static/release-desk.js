// The release desk: what can be released now, what is blocked by what and who can fix it, and what was released against the evidence.
import { call, mayBe } from "./api.js";
import { whenChanged } from "./changes.js";
import { component, fill, h } from "./dom.js";
import { approve, blockList, InspectionVerdict, override, refuse, stateBadge } from "./inspection-verdict.js";
import { moment, named, several, t } from "./words.js";

/** @typedef {import("./inspection-verdict.js").Block} Block */
/** @typedef {{number: string, state: string, enterprise: string, reference: string, changed_ms: number, task: string | null, inspectors: string[], blocks: Block[], may_approve: boolean}} Listed */
/** @typedef {{number: string, position: number, at_ms: number, state: string, by: string | null, second: string | null, reason: string | null, against: string[] | null}} Overridden */
/** @typedef {{ready: Listed[], blocked: Listed[], overridden: Overridden[], more: number, names: Record<string, string>}} Answer */

const SOON_MS = 1000;
const EVERY_MS = 20_000;

export class ReleaseDesk extends HTMLElement {
  constructor() {
    super();
    this.said = h("p", { class: "notice good hidden", role: "status" });
    this.body = h("div", { class: "desk" }, h("p", { class: "pulse" }, t("app.loading")));
    /** @type {(() => void) | null} */
    this.unhear = null;
    this.waits = 0;
    this.tick = 0;
  }

  connectedCallback() {
    this.style.display = "block";
    const number = this.getAttribute("task");
    if (number) {
      const oversees = mayBe("supervisor", "administrator");
      const back = oversees && h("a", { class: "button", href: "/desk" }, t("desk.all"));
      const declaration = oversees && h("a", { class: "button", href: `/declarations/${number}` }, t("desk.declaration"));
      fill(this, h("div", { class: "page-head" }, h("h1", { class: "grow" }, number), declaration, back), component(InspectionVerdict, { declaration: number }));
      return;
    }
    fill(this, h("div", { class: "page-head" }, h("h1", {}, t("nav.desk"))), h("p", { class: "soft" }, t("desk.about")), this.said, this.body);
    this.unhear = whenChanged(["declaration", "exchange", "task"], () => this.soon());
    this.tick = window.setInterval(() => !document.hidden && this.soon(), EVERY_MS); // evidence arrives without a declaration moving
    void this.refresh();
  }

  disconnectedCallback() {
    this.unhear?.();
    window.clearTimeout(this.waits);
    window.clearInterval(this.tick);
  }

  /** Many changes at once are one look, and a busy port is looked at once a second. */
  soon() {
    if (this.waits) return;
    this.waits = window.setTimeout(() => {
      this.waits = 0;
      void this.refresh();
    }, SOON_MS);
  }

  async refresh() {
    try {
      this.draw(await call("GET", "desk"));
    } catch (error) {
      fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  /** @param {Answer} desk */
  draw(desk) {
    fill(
      this.body,
      this.list("desk.ready", "good", desk.ready.map((one) => this.card(one, desk.names)), "desk.none-ready"),
      this.list("desk.blocked", "bad", desk.blocked.map((one) => this.card(one, desk.names)), "desk.none-blocked"),
      this.list("desk.overridden", "bad", desk.overridden.map((one) => this.red(one, desk.names)), "desk.none-overridden"),
      desk.more > 0 && h("p", { class: "soft" }, t("desk.more", { count: desk.more })),
    );
  }

  /** @param {string} word @param {string} look @param {Node[]} cards @param {string} none */
  list(word, look, cards, none) {
    const name = word.replace(".", "-");
    return h("section", { class: "stack", "aria-labelledby": name }, h("h2", { id: name }, h("span", { class: `badge ${cards.length ? look : "off"}` }, h("i"), String(cards.length)), " ", t(word)), cards.length ? h("div", { class: "stack" }, ...cards) : h("div", { class: "empty" }, h("p", {}, t(none))));
  }

  /** @param {Listed} one @param {Record<string, string>} names */
  card(one, names) {
    const decides = mayBe("supervisor");
    const ready = !one.blocks.length;
    return h(
      "article",
      { class: "card stack", "aria-label": one.number },
      h("div", { class: "row" }, h("strong", { class: "grow" }, h("a", { href: `/desk/${one.number}` }, one.number)), stateBadge(one.state)),
      h("div", { class: "soft small" }, `${one.enterprise} · ${one.reference} · ${moment(one.changed_ms)}`, one.inspectors.length > 0 && ` · ${t("desk.inspected-by", { who: several(one.inspectors.map((who) => named(names, who))) })}`),
      one.blocks.length > 0 && blockList(one.blocks, names),
      decides && !one.may_approve && h("p", { class: "soft small" }, t("desk.not-you")),
      decides && one.may_approve && h("div", { class: "row" }, ready && h("button", { class: "primary", onclick: () => this.act(approve, one.number, "desk.approved") }, t("gate.approve")), ready && h("button", { onclick: () => this.act(refuse, one.number, "desk.refused") }, t("gate.refuse")), !ready && !one.blocks.some((block) => block.kind === "hold") && h("button", { class: "danger", onclick: () => this.act(override, one.number, "desk.approved") }, t("gate.override"))),
    );
  }

  /** @param {Overridden} one @param {Record<string, string>} names */
  red(one, names) {
    const against = one.against ?? [t("gate.erased")];
    return h("article", { class: "notice bad stack", "aria-label": one.number }, h("div", { class: "row" }, h("strong", { class: "grow" }, h("a", { href: `/desk/${one.number}` }, one.number)), stateBadge(one.state)), h("div", {}, t("gate.overridden-by", { first: named(names, one.by ?? "–"), second: named(names, one.second ?? "–"), time: moment(one.at_ms) })), h("p", {}, one.reason ?? t("gate.erased")), h("ul", {}, ...against.map((text) => h("li", { class: "small" }, text))));
  }

  /** @param {(number: string) => Promise<boolean>} act @param {string} number @param {string} word */
  async act(act, number, word) {
    if (!(await act(number))) return;
    this.said.textContent = t(word, { number });
    this.said.classList.remove("hidden");
    await this.refresh();
  }
}

customElements.define("release-desk", ReleaseDesk);
