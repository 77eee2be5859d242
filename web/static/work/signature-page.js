// Sign: failures first, then every answer, then the names: lead, assistant, owner. What is signed is what is shown here, by its hash.
import { fill, h } from "../dom.js";
import { moment, t } from "../words.js";
import { doAct, payloadOf } from "./acts.js";
import { asked, digest, inConflict, isFailing, placeOf } from "./answers.js";
import { keepFile } from "./files.js";
import { addressOf, named, sayMissing, sayValue } from "./saying.js";
import { rolesOf } from "./task-data.js";
import { SignaturePad } from "./signature-pad.js";
import { actTicks } from "./upload-ticks.js";

/** @typedef {import("./app.js").Phone} Phone */
/** @typedef {import("./task-data.js").TaskView} TaskView */
/** @typedef {import("./answers.js").Answer} Answer */
/** @typedef {import("./answers.js").Question} Question */

const QUICK_MS = 1000;

export class SignaturePage extends HTMLElement {
  /** @param {Phone} [phone] @param {TaskView} [view] */
  constructor(phone, view) {
    super();
    this.phone = phone;
    this.view = view;
    this.list = h("div", { class: "stack" });
    this.roles = h("div", { class: "stack" });
    this.signing = "";
  }

  connectedCallback() {
    fill(this, h("h2", { class: "work-title" }, t("work.sign-title")), this.list, this.roles);
    if (this.view) this.refresh(this.view);
  }

  /** @param {TaskView} view */
  refresh(view) {
    this.view = view;
    const { procedure, parts } = view.detail;
    const all = asked(procedure, view.stands, parts).map((question) => ({ question, given: view.stands.get(placeOf(question.item.key, question.at)) ?? [] })).filter(({ given }) => given.length);
    const fails = all.filter(({ given }) => inConflict(given) || given.some((answer) => isFailing(procedure, answer)));
    const others = all.filter((one) => !fails.includes(one));
    const open = view.missing.filter((one) => one.what === "item" && one.reason !== "file not at the hub");
    fill(
      this.list,
      view.drafts.size > 0 && h("p", { class: "notice bad" }, t("work.sign-drafts", { count: view.drafts.size }), " ", ...[...view.drafts.values()].slice(0, 1).map((draft) => h("a", { href: addressOf("i", draft.item, draft.at) }, t("work.go-there")))),
      open.length > 0 && h("details", { class: "card" }, h("summary", {}, t("work.sign-open", { count: open.length })), h("ul", { class: "work-list" }, ...open.slice(0, 100).map((one) => sayMissing(procedure, one)).map(({ name, href }) => h("li", {}, h("a", { class: "work-line", href }, name))))),
      h("h2", {}, t("work.findings", { count: fails.length })),
      fails.length ? h("ul", { class: "work-list" }, ...fails.map((one) => this.line(one, true))) : h("p", { class: "soft" }, t("work.no-findings")),
      h("h2", {}, t("work.all-answers", { count: others.length })),
      h("ul", { class: "work-list", id: "all-answers" }, ...others.map((one) => this.line(one, false))),
    );
    this.list.append(...selfCheck([...view.stands.values()].flat(), this.phone?.session.person ?? ""));
    if (!this.signing) this.drawRoles(view);
  }

  /** @param {{question: Question, given: Answer[]}} one @param {boolean} fails */
  line({ question, given }, fails) {
    const { item, at } = question;
    return h("li", {}, h("a", { class: `work-line ${fails ? "fails" : ""}`, href: addressOf("i", item.key, at) }, h("span", { class: "grow" }, fails ? "✕ " : "", [named(item), at].filter(Boolean).join(" · ")), h("strong", {}, given.map((answer) => sayValue(item, answer.value)).join(" ≠ "))));
  }

  /** @param {TaskView} view */
  drawRoles(view) {
    const roles = rolesOf(view.detail);
    const now = [...view.stands.values()].flat().map((answer) => answer.id);
    fill(this.roles, ...roles.map((role) => this.signer(view, role, now)));
  }

  /** @param {TaskView} view @param {string} role @param {string[]} now */
  signer(view, role, now) {
    const signed = view.acts.filter((act) => act.kind === "signature" && act.state !== "refused" && payloadOf(act).role === role);
    const newest = signed[signed.length - 1];
    const payload = newest && payloadOf(newest);
    const covers = new Set(payload?.covers ?? []);
    const left = now.filter((id) => !covers.has(id)).length;
    const may = role === "owner" || role === view.kept.entry.role;
    return h(
      "section",
      { class: "card stack", "data-role": role },
      h("div", { class: "row" }, h("h2", { class: "grow" }, t(`work.role-${role}`)), newest && actTicks(newest)),
      newest && h("p", { class: left ? "bad" : "" }, payload.refused ? t("work.sign-refused", { reason: payload.refused }) : t("work.signed-by", { name: payload.name ?? newest.by }), ` · ${moment(newest.made_ms)}`, left ? ` · ${t("work.signed-before", { count: left })}` : ""),
      may ? (!newest || left > 0) && h("button", { class: "primary", disabled: !now.length || view.drafts.size > 0, onclick: () => this.begin(view, role) }, t("work.sign-as", { role: t(`work.role-${role}`) })) : !newest && h("p", { class: "soft small" }, t("work.sign-elsewhere")),
    );
  }

  /** @param {TaskView} view @param {string} role */
  begin(view, role) {
    this.signing = role;
    const answers = [...view.stands.values()].flat();
    const phone = /** @type {Phone} */ (this.phone);
    const pad = new SignaturePad({
      ...(role === "owner" ? {} : { name: phone.session.name }),
      drawn: (blob, name) => void this.sign(view, role, answers, { blob, name }),
      refused: role === "owner" ? (reason) => void this.sign(view, role, answers, { reason }) : null,
    });
    const place = this.roles.querySelector(`[data-role="${role}"]`);
    if (place) fill(place, h("h2", {}, t(`work.role-${role}`)), h("p", {}, t("work.sign-effect", { count: answers.length })), pad, h("button", { onclick: () => this.end() }, t("app.cancel")));
    pad.scrollIntoView({ block: "center" });
  }

  end() {
    this.signing = "";
    if (this.view) this.refresh(this.view);
  }

  /** @param {TaskView} view @param {string} role @param {Answer[]} answers @param {{blob?: Blob, name?: string, reason?: string}} given */
  async sign(view, role, answers, given) {
    const phone = /** @type {Phone} */ (this.phone);
    const task = view.kept.task;
    /** @type {Record<string, unknown>} */
    const payload = { role, covers: answers.map((answer) => answer.id).sort(), digest: await digest(answers) };
    if (given.blob) {
      payload["drawn"] = await keepFile(phone.store, { task, item: "", at: "", kind: "signature", blob: given.blob, name: `${role}.png` });
      payload["name"] = given.name;
    } else payload["refused"] = given.reason;
    await doAct(phone.store, { task, procedure: view.detail.procedure_sha256, kind: "signature", payload });
    navigator.vibrate?.(100);
    this.signing = "";
    if (this.view) this.refresh(this.view);
  }
}

/** What a second look would ask about, said while it can still be looked at again. @param {Answer[]} answers @param {string} person */
function selfCheck(answers, person) {
  const mine = answers.filter((answer) => answer.way === "asked" && answer.by === person);
  const quick = mine.filter((answer) => answer.dwell_ms < QUICK_MS && !Array.isArray(answer.value));
  if (quick.length < 3 || quick.length * 2 < mine.length) return [];
  return [h("p", { class: "notice", role: "status" }, t("work.check-quick", { count: quick.length, all: mine.length }))];
}

customElements.define("signature-page", SignaturePage);
