// What an entry of a story says, in the reader's words, and where its record is opened.
import { part } from "./api.js";
import { h } from "./dom.js";
import { known, named, t } from "./words.js";

/** @typedef {{issuer: string, epoch: number, position: number}} RecordPlace */
/** @typedef {{from_ms: number, to_ms: number, lane: string, kind: string, act: string, who: string | null, second: string | null, text: string, rule: string | null, stream: string | null, facts: Record<string, string>, erased: boolean, record: RecordPlace, log_index: number | null}} StoryEntry */
/** @typedef {{state: string | null, version: number | null, since_ms: number | null, rule: string | null, holds: string[], task_state: string | null, rules: {what: string, version: string, position: number | null}[]}} Standing */
/** @typedef {{tasks: string[], declaration: string | null, as_of_ms: number, is_now: boolean, size: number, checkpoint: string | null, standing: Standing, entries: StoryEntry[], cut: boolean, names: Record<string, string>}} Story */

export const LANES = ["declaration", "screening", "draw", "dispatch", "checklist", "photos", "messages", "samples", "evaluation", "release", "credit", "watching", "supervision", "other"];
const GRAVE = ["overridden", "override", "recalled", "rejected", "failed", "illegal", "refused", "detained", "findings", "withdrawn", "dead", "positive"];

/** Whether an entry is one that a person should look at. @param {StoryEntry} entry */
export function isGrave(entry) {
  return GRAVE.includes(entry.act) || GRAVE.includes(entry.facts["outcome"] ?? "") || GRAVE.includes(entry.facts["verdict"] ?? "");
}

/** An entry in a few words: what, and what of it. @param {StoryEntry} entry */
export function titleOf(entry) {
  const act = entry.act ? known(entry.kind === "step" ? "state-of" : "story-act", entry.act) : "";
  return [known("kind", entry.kind), act].filter(Boolean).join(" · ");
}

/** Who did it. @param {StoryEntry} entry @param {Record<string, string>} names */
export function whoOf(entry, names) {
  if (entry.who === null) return entry.rule ? t("story.by-rule", { rule: entry.rule }) : "";
  return [entry.who, entry.second].filter((one) => one !== null).map((one) => named(names, one)).join(t("app.comma"));
}

/** Where its record, its proof and its place in the log are opened. @param {RecordPlace} place @param {number | null} index */
export function recordLink(place, index) {
  const word = index === null ? t("story.record") : t("story.leaf", { index });
  return h("a", { href: `/records/${part(place.issuer)}/${place.epoch}/${place.position}`, title: t("story.open-record") }, word);
}

/** The lanes of a story that hold anything. @param {Story} story */
export function eventLanes(story) {
  return LANES.map((lane) => ({ lane, name: t(`lane.${lane}`), entries: story.entries.filter((entry) => entry.lane === lane) })).filter((row) => row.entries.length);
}
