// The task's ticket as a QR: held before a recorder's own lens, so that the film itself proves the pairing, with or without the hub.
import { call, part } from "../api.js";
import { h } from "../dom.js";
import { codeCard } from "../task-pairing.js";
import { clock, t } from "../words.js";

/** Ask for a ticket and show it until it is closed. @param {string} task */
export async function showTicket(task) {
  const answer = await call("POST", `work/${part(task)}/ticket`);
  const card = answer.qr_svg ? codeCard({ code: answer.code ?? "", expires_ms: answer.until_ms, qr_svg: answer.qr_svg }) : h("code", { class: "work-ticket" }, answer.ticket);
  const dialog = h("dialog", { class: "stack" }, h("h2", {}, t("work.pair-show")), h("p", { class: "soft" }, t("work.ticket-about", { time: clock(answer.until_ms) })), card, h("button", { onclick: () => dialog.close() }, t("app.close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
