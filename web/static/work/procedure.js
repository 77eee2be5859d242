// What a procedure looks like (its canonical JSON), and how its items are found. There is no field in it for a preselected answer.

/** @typedef {"choice" | "multi" | "number" | "text" | "date-time" | "photo" | "audio" | "video" | "gps" | "signature" | "barcode"} Type */
/** @typedef {{key: string, zh: string, en: string, conforms?: boolean, fails?: boolean}} Option */
/** @typedef {{key: string, type: Type, zh: string, en: string, required: boolean, options?: Option[], unit?: string, least?: string, most?: string, places?: number, when?: string, violation?: string, basis?: string, verified?: boolean}} Item */
/** @typedef {{key: string, zh: string, en: string, step: string, items: Item[], basic?: boolean, per?: string, most?: number}} Section */
/** @typedef {{key: string, zh: string, en: string}} Trigger */
/** @typedef {{key: string, way: string, devices: string[], need: "must" | "may", zh: string, en: string, least?: number, stored?: "log" | "hub" | "box", unbroken?: boolean, gap_s?: number, when?: string}} Wanted */
/** @typedef {{key: string, zh: string, en: string, starts: Trigger, ends: Trigger, records?: Wanted[]}} Step */
/** @typedef {{key: string, number: number, version: number, zh: string, en: string, verified: boolean, steps: Step[], sections: Section[]}} Procedure */

/** Types of items that are answered by files. @type {ReadonlySet<string>} */
export const ATTACHED = new Set(["photo", "audio", "video"]);

/** @type {WeakMap<Procedure, Map<string, {section: Section, item: Item}>>} */
const indexes = new WeakMap();

/** Give every item with its section, by key. @param {Procedure} procedure */
export function itemsOf(procedure) {
  let found = indexes.get(procedure);
  if (!found) {
    found = new Map(procedure.sections.flatMap((section) => section.items.map((item) => [item.key, { section, item }])));
    indexes.set(procedure, found);
  }
  return found;
}

/** Give the option that says "conforms", where there is one. @param {Item} item */
export function conforming(item) {
  return item.options?.find((option) => option.conforms) ?? null;
}

/** Tell whether an item of files may stay without any. @param {Item} item */
export function needsNone(item) {
  return ATTACHED.has(item.type) && item.least !== undefined && Number(item.least) === 0;
}
