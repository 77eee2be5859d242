// Say things of a procedure in the reader's language: names, values, what is missing.
import { bytes, clock, known, language, moment, t } from "../words.js";
import { itemsOf } from "./procedure.js";

/** @typedef {import("./procedure.js").Item} Item */
/** @typedef {import("./procedure.js").Procedure} Procedure */
/** @typedef {import("./completeness.js").Missing} Missing */

/** @param {{zh: string, en: string}} thing */
export function named(thing) {
  return language() === "en" ? thing.en : thing.zh;
}

/** Say a value. @param {Item} item @param {any} value @returns {string} */
export function sayValue(item, value) {
  if (item.type === "choice" || item.type === "multi") {
    const keys = Array.isArray(value) ? value : [value];
    return keys.map((key) => item.options?.find((option) => option.key === key)).map((option) => (option ? named(option) : "?")).join(t("app.comma"));
  }
  if (item.type === "number") return `${value} ${item.unit ?? ""}`.trim();
  if (item.type === "gps") return `${(value.latitude / 1e6).toFixed(5)}, ${(value.longitude / 1e6).toFixed(5)} ± ${value.accuracy_m} m`;
  if (item.type === "date-time") return moment(Date.parse(value));
  if (item.type === "signature") return "refused" in value ? t("work.sign-refused", { reason: value.refused }) : t("work.signed-by", { name: value.name });
  if (Array.isArray(value)) return t("work.files-count", { count: value.length });
  return String(value);
}

/** Say the limits of an item in a row. @param {Item} item */
export function sayLimits(item) {
  if (item.type === "number") {
    const range = item.least !== undefined || item.most !== undefined ? t("work.limits", { least: item.least ?? "−∞", most: item.most ?? "∞", unit: item.unit ?? "" }) : (item.unit ?? "");
    return item.places ? `${range} · ${t("work.places", { count: item.places })}` : range;
  }
  if (item.least !== undefined && Number(item.least) > 0) return t("work.files-least", { count: item.least });
  return "";
}

/** Say what is missing, with the address that goes there. @param {Procedure} procedure @param {Missing} one */
export function sayMissing(procedure, one) {
  const why = t(`work.missing-${one.reason.replaceAll(" ", "-")}`, { have: one.have, want: one.want });
  if (one.what === "signature") return { name: t(`work.role-${one.key}`), why, href: "#sign" };
  if (one.what === "record") {
    const record = procedure.steps.find((step) => step.key === one.step)?.records?.find((each) => each.key === one.key);
    return { name: record ? `${record.way} ${named(record)}` : one.key, why, href: "#more" };
  }
  const found = itemsOf(procedure).get(one.key);
  if (found) return { name: [named(found.item), one.at].filter(Boolean).join(" · "), why, href: addressOf("i", one.key, one.at) };
  const section = procedure.sections.find((each) => each.key === one.key);
  return { name: section ? named(section) : one.key, why: section?.per ? t("work.part-none", { per: known("work.per", section.per) }) : why, href: "#list" };
}

/** @param {"i" | "s"} kind one item, or a section as a list @param {string} key @param {string} at */
export function addressOf(kind, key, at) {
  return `#${kind}/${encodeURIComponent(key)}${at ? `/${encodeURIComponent(at)}` : ""}`;
}

/** @param {{size: number, made_ms: number}} file */
export function sayFile(file) {
  return `${bytes(file.size)} · ${clock(file.made_ms)}`;
}

/** A task's name in the reader's language: its procedure and its containers, where the phone has them. @param {import("./store.js").KeptTask} task */
export function titleOf(task) {
  if (!task.detail) return task.entry.title || task.task;
  return [named(/** @type {any} */ (task.detail.procedure)), ...(task.detail.parts["container"] ?? []).slice(0, 2)].join(" ");
}
