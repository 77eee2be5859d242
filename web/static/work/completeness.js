// Say what is missing of an inspection as the hub does (protocol/procedures/completeness.py), while the container is still open.
import { asked, inConflict, instances, placeOf, standing } from "./answers.js";
import { holdsText } from "./conditions.js";
import { ATTACHED, needsNone } from "./procedure.js";

/** @typedef {import("./procedure.js").Item} Item */
/** @typedef {import("./procedure.js").Procedure} Procedure */
/** @typedef {import("./procedure.js").Wanted} Wanted */
/** @typedef {import("./answers.js").Answer} Answer */
/** @typedef {import("./answers.js").Parts} Parts */
/** @typedef {import("./answers.js").Standing} Standing */
/** @typedef {{step: string, key: string, count: number, stored?: "log" | "box" | "hub", verified?: boolean, gap_s?: number, explained?: boolean}} Held */
/** @typedef {{step: string, what: "item" | "record" | "signature", key: string, at: string, reason: string, have: number, want: number}} Missing */
/** @typedef {{role: string, covers: string[]}} Signed */
/** @typedef {{answers: Answer[], blobs: ReadonlySet<string>, held: Held[], signed: Signed[], parts: Parts, roles: string[]}} Facts */

const REACHED = { log: 0, box: 1, hub: 2 };

/** Give what is missing, by step and in the procedure's order. @param {Procedure} procedure @param {Facts} facts @returns {Missing[]} */
export function missing(procedure, facts) {
  const stands = standing(facts.answers);
  const found = [...missingItems(procedure, stands, facts), ...missingRecords(procedure, stands, facts), ...missingSignatures(procedure, stands, facts)];
  return byStep(procedure, found);
}

/** Order by step, keeping the order within. @param {Procedure} procedure @param {Missing[]} found */
export function byStep(procedure, found) {
  const order = new Map(procedure.steps.map((step, at) => [step.key, at]));
  return found.sort((one, other) => (order.get(one.step) ?? 0) - (order.get(other.step) ?? 0));
}

/** Give how much is there of how much is wanted. @param {Procedure} procedure @param {Facts} facts @param {Missing[]} lacking */
export function meter(procedure, facts, lacking = missing(procedure, facts)) {
  const stands = standing(facts.answers);
  const questions = asked(procedure, stands, facts.parts).filter(({ item }) => item.required).length;
  const want = questions + wanted(procedure, stands).length + facts.roles.length;
  const gone = new Set(lacking.map((one) => [one.what, one.step, one.key, one.at].join("\n")));
  return { have: Math.max(0, want - gone.size), want };
}

/** @param {Procedure} procedure @param {Standing} stands @param {Facts} facts */
function missingItems(procedure, stands, facts) {
  const found = procedure.sections
    .filter((section) => !instances(section, stands, facts.parts).length)
    .map((section) => lacks(section.step, "item", section.key, "", "not answered"));
  for (const { section, item, at } of asked(procedure, stands, facts.parts)) {
    const given = stands.get(placeOf(item.key, at)) ?? [];
    if (given[0] && inConflict(given)) found.push(lacks(section.step, "item", item.key, at, "in conflict", given.length));
    else if (given[0]) found.push(...missingFiles(section.step, item, given[0], facts.blobs));
    else if (item.required && !needsNone(item)) found.push(lacks(section.step, "item", item.key, at, "not answered"));
  }
  return found;
}

/** @param {string} step @param {Item} item @param {Answer} answer @param {ReadonlySet<string>} blobs */
function missingFiles(step, item, answer, blobs) {
  /** @type {string[]} */
  let names = [];
  if (ATTACHED.has(item.type)) {
    names = answer.value;
    const want = Math.trunc(Number(item.least ?? "1"));
    if (names.length < want && item.required) return [lacks(step, "item", item.key, answer.at, "too few files", names.length, want)];
  } else if (item.type === "signature" && "drawn" in answer.value) names = [answer.value.drawn];
  const here = names.filter((name) => blobs.has(name)).length;
  return here < names.length ? [lacks(step, "item", item.key, answer.at, "file not at the hub", here, names.length)] : [];
}

/** @param {Procedure} procedure @param {Standing} stands @returns {{step: string, record: Wanted}[]} */
function wanted(procedure, stands) {
  /** @type {Map<string, unknown>} */
  const values = new Map();
  for (const given of stands.values()) if (given[0] && !given[0].at && !inConflict(given)) values.set(given[0].item, given[0].value);
  return procedure.steps.flatMap((step) =>
    (step.records ?? []).filter((one) => one.need === "must" && (one.when === undefined || holdsText(one.when, values))).map((record) => ({ step: step.key, record })),
  );
}

/** @param {Procedure} procedure @param {Standing} stands @param {Facts} facts */
function missingRecords(procedure, stands, facts) {
  return wanted(procedure, stands).flatMap(({ step, record }) => {
    const mine = facts.held.filter((one) => one.step === step && one.key === record.key);
    const good = mine.filter((one) => faultOf(record, one) === null);
    const count = good.reduce((sum, one) => sum + one.count, 0);
    const least = record.least ?? 1;
    if (count >= least) return [];
    const fault = mine.map((one) => faultOf(record, one)).find((one) => one !== null);
    return [lacks(step, "record", record.key, "", fault ?? (count ? "too few" : "not there"), count, least)];
  });
}

/** @param {Wanted} record @param {Held} one */
function faultOf(record, one) {
  if (one.verified === false) return "not verified";
  if (REACHED[one.stored ?? "log"] < REACHED[record.stored ?? "log"]) return "not stored";
  if ((one.gap_s ?? 0) > (record.gap_s ?? 0)) return "break too long";
  return (one.gap_s ?? 0) > 0 && !one.explained ? "break not explained" : null;
}

/** @param {Procedure} procedure @param {Standing} stands @param {Facts} facts */
function missingSignatures(procedure, stands, facts) {
  const now = [...stands.values()].flat().map((answer) => answer.id);
  const step = procedure.steps[procedure.steps.length - 1]?.key ?? "";
  return facts.roles.flatMap((role) => {
    const mine = facts.signed.filter((one) => one.role === role).map((one) => new Set(one.covers));
    if (!mine.length) return [lacks(step, "signature", role, "", "not signed")];
    const uncovered = Math.min(...mine.map((covers) => now.filter((id) => !covers.has(id)).length));
    return uncovered ? [lacks(step, "signature", role, "", "signed before it was answered", now.length - uncovered, now.length)] : [];
  });
}

/** @param {string} step @param {Missing["what"]} what @param {string} key @param {string} at @param {string} reason @param {number} [have] @param {number} [want] @returns {Missing} */
function lacks(step, what, key, at, reason, have = 0, want = 1) {
  return { step, what, key, at, reason, have, want };
}
