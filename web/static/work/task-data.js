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

/** Fetch the list of tasks. A task that is no longer listed stays on the phone until all of it is safe. @param {Store} store */
export async function fetchTasks(store) {
  const { tasks } = await call("GET", "work");
  const kept = new Map((await store.all("tasks")).map((/** @type {KeptTask} */ one) => [one.task, one]));
  const listed = new Set(tasks.map((/** @type {{task: string}} */ one) => one.task));
  const unsafe = new Set([...(await store.all("acts")), ...(await store.all("files"))].filter((one) => one.mine !== false && one.state !== "verified").map((one) => one.task));
  await store.write(["tasks"], (of) => {
    for (const entry of tasks) of("tasks").put({ detail: null, fetched_ms: 0, after: 0, ...kept.get(entry.task), task: entry.task, entry, listed: true });
    for (const [task, one] of kept) {
      if (listed.has(task)) continue;
      if (unsafe.has(task)) of("tasks").put({ ...one, listed: false });
      else of("tasks").delete(task);
    }
  });
  await store.put("facts", Date.now(), "listed_ms");
}

/** Fetch a task with the acts of all devices. @param {Store} store @param {string} task */
export async function fetchTask(store, task) {
  const name = encodeURIComponent(task);
  const detail = await call("GET", `work/${name}`);
  const kept = /** @type {KeptTask | undefined} */ (await store.get("tasks", task));
  const after = kept?.after ?? 0;
  const { acts } = await call("GET", `work/${name}/acts?after=${after}`);
  const mine = new Map((await store.ofTask("acts", task)).map((/** @type {KeptAct} */ act) => [act.id, act]));
  const seen = acts.map((/** @type {any} */ act) => heard(act, task, mine.get(act.id)));
  delete detail.acts; // kept one by one
  const next = Math.max(after, ...acts.map((/** @type {any} */ act) => act.position ?? 0));
  await store.write(["tasks", "acts"], (of) => {
    for (const act of seen) of("acts").put(act);
    of("tasks").put({ ...kept, task, entry: { ...kept?.entry, ...entryOf(detail) }, detail: { ...detail, changed_ms: kept?.entry.changed_ms }, fetched_ms: Date.now(), after: next, listed: kept?.listed ?? true });
  });
}

/** @param {any} detail */
function entryOf(detail) {
  return { have: detail.have, want: detail.want };
}

/** What the hub says of an act; of one's own, that it is there. @param {any} act @param {string} task @param {KeptAct | undefined} mine @returns {KeptAct} */
function heard(act, task, mine) {
  if (mine?.mine) return { ...mine, position: act.position ?? mine.position, at_ms: act.at_ms ?? mine.at_ms, state: mine.state === "verified" ? "verified" : "in-hub", why: mine.state === "refused" ? "" : mine.why };
  const said = JSON.parse(act.act);
  return {
    id: act.id, task, kind: said.kind, text: act.act, signature: "", key: act.key_id ?? "", seq: said.seq, mine: false, by: act.by ?? "", device: act.device ?? act.key_id ?? "",
    made_ms: said.phone_ms, at_ms: act.at_ms ?? null, position: act.position ?? null, state: act.state === "verified" ? "verified" : "in-hub", why: "",
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
  const facts = { answers, blobs: blobsOf(detail, files), held: [], signed: signedBy(acts), parts: detail.parts ?? {}, roles: detail.roles ?? ["lead", "assistant", "owner"] };
  const records = (detail.missing ?? []).filter((one) => one.what === "record"); // the hub alone knows what recorders and cameras gave
  const lacking = byStep(detail.procedure, [...missing(detail.procedure, facts).filter((one) => one.what !== "record"), ...records]);
  return {
    kept, detail, acts: acts.sort(byTime), answers, stands, missing: lacking, ...meter(detail.procedure, facts, lacking),
    files: new Map(files.map((/** @type {KeptFile} */ file) => [file.sha256, file])),
    drafts: new Map(drafts.map((/** @type {Draft} */ draft) => [`${draft.item}\n${draft.at}`, draft])),
    conflicts: [...stands.values()].filter(inConflict).length,
  };
}

/** @param {KeptAct} one @param {KeptAct} other */
function byTime(one, other) {
  return one.made_ms - other.made_ms || one.seq - other.seq;
}

/** @param {TaskDetail} detail @param {KeptFile[]} files */
function blobsOf(detail, files) {
  const there = Object.entries(detail.files ?? {}).filter(([, state]) => (state.state ?? state) === "stored").map(([name]) => name);
  return new Set([...there, ...files.filter((file) => file.state !== "phone").map((file) => file.sha256)]);
}

/** @param {KeptAct[]} acts */
function signedBy(acts) {
  return acts.filter((act) => act.kind === "signature" && act.state !== "refused").map((act) => payloadOf(act)).map(({ role, covers }) => ({ role, covers }));
}
