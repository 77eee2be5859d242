// The doors of the house: every page with the posture it belongs to, who may open it, and how its module is loaded when it is wanted.

/** @typedef {"inspect" | "supervise" | "decide" | "exchange" | "administer"} Posture */
/** @typedef {{element: string, load: () => Promise<unknown>, attributes?: Record<string, string>}} View */
/** What counts beside a door: a name in what `GET badges` tells. */
/** @typedef {{name: string, posture: Posture, word: string, roles: string[], badge?: string, view: (rest: string[]) => View | null}} Door */

const OVERSEEING = ["supervisor", "administrator"];
const INSIDE = ["supervisor", "inspector", "administrator"];

/** A page alone. @param {string} element @param {() => Promise<unknown>} load @returns {Door["view"]} */
function alone(element, load) {
  return (rest) => (rest.length ? null : { element, load });
}

/**
 * A list, and a page for each of what it lists.
 * @param {[string, () => Promise<unknown>]} list
 * @param {[string, () => Promise<unknown>, string]} one element, module and the attribute that names which
 * @returns {Door["view"]}
 */
function listed(list, one) {
  return ([name, ...more]) => {
    if (more.length) return null;
    return name === undefined ? { element: list[0], load: list[1] } : { element: one[0], load: one[1], attributes: { [one[2]]: name } };
  };
}

/** Declarations: all, one, the form of a new one or of a new version. @param {string[]} rest @returns {View | null} */
function declared([number, act, ...more]) {
  if (more.length || (act !== undefined && act !== "amend")) return null;
  if (number === undefined) return { element: "declaration-list", load: () => import("./declaration-list.js") };
  if (number === "new" || act) return number === "new" && act ? null : { element: "declaration-form", load: () => import("./declaration-form.js"), attributes: act ? { number } : {} };
  return { element: "declaration-page", load: () => import("./declaration-page.js"), attributes: { number } };
}

/** Reference data: a category, one of its entries. @param {string[]} rest @returns {View | null} */
function referred([category, key, ...more]) {
  const attributes = { ...(category !== undefined && { category }), ...(key !== undefined && { key }) };
  return more.length ? null : { element: "reference-page", load: () => import("./reference-page.js"), attributes };
}

const pairing = () => import("./pairing-page.js");
const draws = () => import("./draw-page.js");
const credit = () => import("./credit-page.js");
const samples = () => import("./samples-page.js");
const desk = () => import("./release-desk.js");
const procedures = () => import("./procedures-page.js");

/** In the order in which they stand in the menu. @type {Door[]} */
export const DOORS = [
  { name: "work", posture: "inspect", word: "nav.work", roles: ["inspector"], view: () => null }, // a page of its own, that works with no network
  { name: "pair", posture: "inspect", word: "nav.pair", roles: ["inspector"], view: listed(["pairing-page", pairing], ["pairing-page", pairing, "task"]) },
  { name: "wall", posture: "supervise", word: "nav.wall", roles: INSIDE, view: alone("live-wall", () => import("./live-wall.js")) },
  { name: "tasks", posture: "supervise", word: "nav.tasks", roles: INSIDE, view: listed(["task-board", () => import("./task-board.js")], ["task-page", () => import("./task-page.js"), "task"]) },
  { name: "alarms", posture: "supervise", word: "nav.alarms", roles: OVERSEEING, badge: "alarms", view: alone("alarm-inbox", () => import("./alarm-inbox.js")) },
  { name: "looks", posture: "supervise", word: "nav.looks", roles: INSIDE, badge: "looks", view: alone("second-looks", () => import("./second-looks.js")) },
  { name: "devices", posture: "supervise", word: "nav.devices", roles: OVERSEEING, view: alone("device-list", () => import("./device-list.js")) },
  { name: "declarations", posture: "decide", word: "nav.declarations", roles: [...OVERSEEING, "trader"], view: declared },
  { name: "draws", posture: "decide", word: "nav.draws", roles: INSIDE, view: listed(["draw-page", draws], ["draw-page", draws, "task"]) },
  { name: "credit", posture: "decide", word: "nav.credit", roles: ["trader", ...OVERSEEING], view: listed(["credit-page", credit], ["credit-page", credit, "enterprise"]) },
  { name: "samples", posture: "decide", word: "nav.samples", roles: ["partner", ...INSIDE], view: listed(["samples-page", samples], ["samples-page", samples, "number"]) },
  { name: "desk", posture: "decide", word: "nav.desk", roles: OVERSEEING, view: listed(["release-desk", desk], ["release-desk", desk, "task"]) },
  { name: "exchange", posture: "exchange", word: "nav.exchange", roles: ["partner", ...OVERSEEING], view: alone("exchange-page", () => import("./exchange-page.js")) },
  { name: "rules", posture: "decide", word: "nav.rules", roles: OVERSEEING, view: alone("rules-page", () => import("./rules-page.js")) },
  { name: "procedures", posture: "decide", word: "nav.procedures", roles: INSIDE, view: listed(["procedures-page", procedures], ["procedures-page", procedures, "key"]) },
  { name: "holds", posture: "exchange", word: "nav.holds", roles: ["partner"], view: alone("hold-list", () => import("./hold-list.js")) },
  { name: "references", posture: "administer", word: "nav.references", roles: OVERSEEING, view: referred },
  { name: "people", posture: "administer", word: "nav.people", roles: ["administrator"], view: alone("people-page", () => import("./people-page.js")) },
];

/** Pages that are reached from others and stand in no menu. @type {Door[]} */
export const SIDE_DOORS = [
  // an inspector judges inspections of their own there, and sees no desk
  { name: "desk", posture: "inspect", word: "nav.desk", roles: ["inspector"], view: ([number, ...more]) => (number && !more.length ? { element: "release-desk", load: desk, attributes: { task: number } } : null) },
  { name: "start", posture: "supervise", word: "nav.start", roles: INSIDE, view: alone("start-page", () => import("./start-page.js")) },
  { name: "pair", posture: "inspect", word: "nav.pair", roles: OVERSEEING, view: listed(["pairing-page", pairing], ["pairing-page", pairing, "task"]) },
  {
    name: "records",
    posture: "supervise",
    word: "record.facts",
    roles: [...INSIDE, "trader"],
    view: (rest) => (rest.length === 3 ? { element: "record-page", load: () => import("./record-page.js"), attributes: { place: rest.map(encodeURIComponent).join("/") } } : null),
  },
];

/** @type {Record<string, Posture[]>} the postures of a role, what it does most first */
const ORDER = {
  inspector: ["inspect", "supervise", "decide", "exchange", "administer"],
  administrator: ["supervise", "administer", "decide", "exchange", "inspect"],
};
/** @type {Posture[]} */
const USUAL = ["supervise", "decide", "inspect", "exchange", "administer"];

/** Where each role begins. @type {Record<string, string>} */
const HOMES = { trader: "/declarations" };

/** @param {string} role */
export function homeOf(role) {
  return HOMES[role] ?? (INSIDE.includes(role) ? "/start" : (`/${doorsOf(role)[0]?.doors[0]?.name ?? "login"}`));
}

/** The menu of a role: its postures in order, each with its doors. @param {string} role @returns {{posture: Posture, doors: Door[]}[]} */
export function doorsOf(role) {
  return (ORDER[role] ?? USUAL)
    .map((posture) => ({ posture, doors: DOORS.filter((door) => door.posture === posture && door.roles.includes(role)) }))
    .filter((group) => group.doors.length);
}

/** The page at an address, or why there is none. @param {string} path @param {string} role @returns {{door: Door, view: View} | "forbidden" | "missing"} */
export function pageAt(path, role) {
  const [first = "", ...rest] = path.split("/").filter(Boolean).map(decodeURIComponent);
  const named = [...DOORS, ...SIDE_DOORS].filter((door) => door.name === first);
  const door = named.find((one) => one.roles.includes(role));
  if (!door) return named.length && !rest.length ? "forbidden" : "missing";
  const view = door.view(rest);
  if (view) return { door, view };
  return named.length > 1 && !rest.length ? "forbidden" : "missing"; // others have a page there
}
