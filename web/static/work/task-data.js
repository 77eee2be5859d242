// Fetch tasks into the phone and give them back with what this phone did since: what a page shows is always what the phone keeps.
import { call } from "../api.js";
import { inConflict, standing } from "./answers.js";
import { answersOf, payloadOf } from "./acts.js";
import { byStep, meter, missing } from "./completeness.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").KeptTask} KeptTask */
/** @typedef {import("./store.js").KeptAct} KeptAct */
/** @typedef {import("./store.js").KeptFile} KeptFile */
/** @typedef {import("./store.js").Draft} Draft */
/** @typedef {import("./store.js").TaskDetail} TaskDetail */
/** @typedef {import("./answers.js").Answer} Answer */
/** @typedef {import("./answers.js").Standing} Standing */
/** @typedef {import("./completeness.js").Missing} Missing */
/**
 * All that is known of a task on this phone.
 * @typedef {{kept: KeptTask, detail: TaskDetail, acts: KeptAct[], answers: Answer[], stands: Standing, files: Map<string, KeptFile>, drafts: Map<string, Draft>, missing: Missing[], have: number, want: number, conflicts: number}} TaskView
 */

/** Fetch the list of tasks. A task that is no longer listed leaves the phone, once all of it is safe. @param {Store} store */
export async function fetchTasks(store) {
  const { tasks } = await call("GET", "work");
  const [known, acts, files, drafts] = await Promise.all([store.all("tasks"), store.all("acts"), store.all("files"), store.all("drafts")]);
  const kept = new Map(known.map((/** @type {KeptTask} */ one) => [one.task, one]));
  const listed = new Set(tasks.map((/** @type {{task: string}} */ one) => one.task));
  const open = [...acts, ...files].filter((one) => one.mine !== false && one.state !== "verified" && !one.settled);
  const unsafe = new Set([...open, ...drafts].map((one) => one.task));
  const isOver = (/** @type {{task: string}} */ one) => !listed.has(one.task) && !unsafe.has(one.task);
  await store.write(["tasks", "acts", "files"], (of) => {
    for (const entry of tasks) of("tasks").put({ detail: null, fetched_ms: 0, after: -1, ...kept.get(entry.task), task: entry.task, entry, listed: true });
    for (const one of known.filter((/** @type {KeptTask} */ one) => !listed.has(one.task))) {
      if (isOver(one)) of("tasks").delete(one.task);
      else of("tasks").put({ ...one, listed: false });
    }
    for (const act of acts.filter(isOver)) of("acts").delete(act.id);
    for (const file of files.filter(isOver)) of("files").delete(file.sha256);
  }, "relaxed");
  await store.put("facts", Date.now(), "listed_ms", "relaxed");
}

/** Fetch a task with the acts of all devices. @param {Store} store @param {string} task */
export async function fetchTask(store, task) {
  await keepTask(store, task, await askTask(store, task));
}

/**
 * Ask for a task and its acts, side by side: what comes in between changes the list's mark, and is fetched in the next round.
 * @param {Store} store @param {string} task @returns {Promise<{detail: any, acts: any[], last: number}>}
 */
export async function askTask(store, task) {
  const [name, kept] = [encodeURIComponent(task), /** @type {KeptTask | undefined} */ (await store.get("tasks", task))];
  const [detail, { acts, last }] = await Promise.all([call("GET", `work/${name}`), call("GET", `work/${name}/acts?after=${kept?.after ?? -1}`)]);
  return { detail, acts, last };
}

/**
 * Keep what was heard of a task. `mark`: of the list that it goes by; "" where it was asked for before the list, so that it is fetched again.
 * @param {Store} store @param {string} task @param {{detail: any, acts: any[], last: number}} told @param {"list" | ""} [mark]
 */
export async function keepTask(store, task, { detail, acts, last }, mark = "list") {
  const kept = /** @type {KeptTask | undefined} */ (await store.get("tasks", task));
  const changed_ms = mark ? kept?.entry.changed_ms : null;
  const mine = new Map((await store.ofTask("acts", task)).map((/** @type {KeptAct} */ act) => [act.id, act]));
  const seen = acts.map((/** @type {any} */ act) => heard(act, task, mine.get(act.id)));
  delete detail.acts; // kept one by one
  await store.write(["tasks", "acts"], (of) => {
    for (const act of seen) of("acts").put(act);
    of("tasks").put({ ...kept, task, entry: { ...kept?.entry, ...entryOf(detail) }, detail: { ...detail, changed_ms }, fetched_ms: Date.now(), after: last, listed: kept?.listed ?? true });
  }, "relaxed");
}

/** @param {any} detail */
function entryOf(detail) {
  return { have: detail.have, want: detail.want };
}

/** What the hub says of an act; of one's own, that it is there. @param {any} act @param {string} task @param {KeptAct | undefined} mine @returns {KeptAct} */
function heard(act, task, mine) {
  const there = { position: act.position, at_ms: act.hub_ms };
  if (mine?.mine) return { ...mine, ...there, state: mine.state === "verified" ? "verified" : "in-hub", why: mine.state === "refused" ? "" : mine.why };
  return {
    id: act.id, task, kind: act.payload ? act.kind : "erased", text: JSON.stringify({ payload: act.payload ?? {} }), signature: "", key: act.key_id, seq: act.seq, mine: false,
    by: act.by ?? "", device: act.key_id, made_ms: act.phone_ms ?? act.hub_ms, ...there, state: act.state, why: "",
  };
}

/** Put together what is known of a task; null when this phone never saw it. @param {Store} store @param {string} task @returns {Promise<TaskView | null>} */
export async function viewTask(store, task) {
  const kept = /** @type {KeptTask | undefined} */ (await store.get("tasks", task));
  if (!kept?.detail) return null;
  const [acts, files, drafts] = await Promise.all([store.ofTask("acts", task), store.ofTask("files", task), store.ofTask("drafts", task)]);
  const detail = kept.detail;
  const answers = acts.flatMap((/** @type {KeptAct} */ act) => answersOf(act));
  const stands = standing(answers);
  const facts = { answers, blobs: blobsOf(detail, files), held: [], signed: signedBy(acts), parts: detail.parts, roles: rolesOf(detail) };
  const lacking = missingNow(kept, detail, facts, acts);
  return {
    kept, detail, acts: acts.sort(byTime), answers, stands, missing: lacking, ...meter(detail.procedure, facts, lacking),
    files: new Map(files.map((/** @type {KeptFile} */ file) => [file.sha256, file])),
    drafts: new Map(drafts.map((/** @type {Draft} */ draft) => [`${draft.item}\n${draft.at}`, draft])),
    conflicts: [...stands.values()].filter(inConflict).length,
  };
}

/** Who has to sign: no assistant where nobody was drawn as one. @param {TaskDetail} detail */
export function rolesOf(detail) {
  return (detail.team ?? []).length === 1 ? ["lead", "owner"] : ["lead", "assistant", "owner"];
}

/**
 * What is missing now: as the hub says when it knows all that was done here, else as this phone reckons by the same rule. What recorders,
 * cameras and systems gave is known to the hub alone.
 * @param {KeptTask} kept @param {TaskDetail} detail @param {import("./completeness.js").Facts} facts @param {KeptAct[]} acts
 */
function missingNow(kept, detail, facts, acts) {
  const known = acts.every((act) => act.state === "refused" || (act.position !== null && act.position <= kept.after));
  if (known) return byStep(detail.procedure, [...detail.missing]);
  const records = detail.missing.filter((one) => one.what === "record");
  return byStep(detail.procedure, [...missing(detail.procedure, facts).filter((one) => one.what !== "record"), ...records]);
}

/** @param {KeptAct} one @param {KeptAct} other */
function byTime(one, other) {
  return one.made_ms - other.made_ms || one.seq - other.seq;
}

/** @param {TaskDetail} detail @param {KeptFile[]} files */
function blobsOf(detail, files) {
  const there = Object.entries(detail.files).filter(([, state]) => state === "stored").map(([name]) => name);
  return new Set([...there, ...files.filter((file) => file.state !== "phone").map((file) => file.sha256)]);
}

/** @param {KeptAct[]} acts */
function signedBy(acts) {
  return acts.filter((act) => act.kind === "signature" && act.state !== "refused").map((act) => payloadOf(act)).map(({ role, covers }) => ({ role, covers }));
}

/** @param {TaskDetail["instructions"][number]} one */
export function isSeen(one) {
  return one.read_ms !== null;
}

/** By this phone's own acts first: the hub may not know of them yet. @param {TaskView} view */
export function isPaused(view) {
  const marks = view.acts.filter((act) => (act.kind === "pause" || act.kind === "resume") && act.state !== "refused");
  const last = marks[marks.length - 1];
  return last ? last.kind === "pause" : Boolean(view.detail.paused);
}
