// What follows from the findings of a second look, one click away: recall at the release desk, and an event on the declarant's record.
import { mayBe, part } from "./api.js";
import { h } from "./dom.js";
import { t } from "./words.js";

/** @typedef {{task: string, found_at: number | null, outcome: "confirmed" | "findings" | null, declaration: string | null, enterprise: string | null}} Found */

/** The next steps, for those who take them; nothing where there are no findings, or no declaration. @param {Found} look */
export function nextSteps(look) {
  if (look.outcome !== "findings" || look.declaration === null || !mayBe("supervisor")) return null;
  const evidence = `record ${look.found_at}, task ${look.task}, declaration ${look.declaration}`;
  const credit = look.enterprise !== null && h("a", { class: "button", href: `/credit/${part(look.enterprise)}?${new URLSearchParams({ evidence })}` }, t("looks.credit"));
  return h("div", { class: "row", role: "group", "aria-label": t("looks.next", { task: look.task }) }, h("a", { class: "button", href: `/desk/${part(look.declaration)}` }, t("looks.recall")), credit);
}
