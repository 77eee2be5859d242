// The way out: when there is a network, in this order: who am I, my tasks, this phone's key, manifests of files, acts as they were done, parts of files,
// receipts. Each step is kept as it succeeds, so that whatever cuts in costs one request; what fails is tried again, with pauses that grow.
// An act that the hub refuses is kept and shown with its reason; those after it go on.
import { call, Refusal, remember, send } from "../api.js";
import { changes } from "../changes.js";
import { LogRefused } from "../log-pin.js";
import { deviceKey } from "./acts.js";
import { announce, sendParts } from "./files.js";
import { checkReceipt, ReceiptError } from "./receipt.js";
import { askTask, fetchTask, fetchTasks, keepTask } from "./task-data.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./store.js").KeptAct} KeptAct */
/** @typedef {import("./store.js").KeptFile} KeptFile */
/** @typedef {{session: import("../api.js").Session, ahead_ms: number | null}} Met */
/** @typedef {"online" | "offline" | "unreachable" | "login"} Line */

const LOOK_MS = 20_000;
const SOON_MS = 500;
const TOLD = ["work", "task", "pairing", "supervision"];
const PAUSES_MS = [2000, 4000, 8000, 15_000, 30_000, 60_000];
const RENEW = 0.5; // of the time for which a key is certified
const AGAIN = [401, 408, 425, 429];

/** Dispatches `line` whenever what it knows of the line or its work changes, `first` when the tasks of a round are there. */
export class Outbox extends EventTarget {
  /** @param {Store} store @param {Met | null} [met] what was heard already of who is logged in */
  constructor(store, met = null) {
    super();
    this.store = store;
    this.met = met;
    /** @type {Line} */
    this.line = navigator.onLine ? "unreachable" : "offline";
    /** @type {number | null} */
    this.since = null;
    this.working = false;
    this.tries = 0;
    this.next = 0;
    this.timer = 0;
    this.wanted = false;
    this.open = "";
    this.failure = "";
    this.unproven = 0;
    /** @type {number | null} */
    this.ahead_ms = null; // of this phone's clock against the hub's
    this.ending = new AbortController();
  }

  start() {
    const { signal } = this.ending;
    addEventListener("online", () => this.kick(), { signal });
    addEventListener("offline", () => this.say("offline"), { signal });
    document.addEventListener("visibilitychange", () => (document.visibilityState === "visible" ? this.kick() : this.listen(false)), { signal });
    this.store.addEventListener("changed", (event) => this.heard(/** @type {CustomEvent<string[]>} */ (event).detail), { signal });
    changes.addEventListener("change", (event) => this.told(/** @type {CustomEvent<{event: string}>} */ (event).detail.event), { signal });
    this.kick();
  }

  /** Another phone, a supervisor or the hub did something: look soon. @param {string} kind */
  told(kind) {
    const looked = TOLD.includes(kind) || (kind === "checkpoint" && this.unproven > 0);
    if (looked && this.tries === 0 && !this.working) this.plan(SOON_MS);
  }

  stop() {
    this.ending.abort();
    changes.close();
    clearTimeout(this.timer);
  }

  /** @param {string[]} shelves */
  heard(shelves) {
    if (!this.working && (shelves.includes("acts") || shelves.includes("files")) && this.tries === 0) this.plan(300);
  }

  /** Go now, whatever the pause. */
  kick() {
    this.tries = 0;
    this.plan(0);
  }

  /** @param {number} pause */
  plan(pause) {
    if (this.ending.signal.aborted) return;
    clearTimeout(this.timer);
    this.next = Date.now() + pause;
    this.timer = window.setTimeout(() => void this.go(), pause);
  }

  async go() {
    const met = this.met;
    this.met = null; // good for this round alone: somebody else may be logged in by the next
    if (this.working) {
      this.wanted = true;
      return;
    }
    if (!navigator.onLine) return this.say("offline");
    this.working = true;
    this.dispatchEvent(new CustomEvent("line"));
    try {
      await navigator.locks.request(`portwitness-outbox/${this.store.person}`, { ifAvailable: true }, (lock) => (lock ? this.round(met) : undefined));
      this.tries = 0;
    } catch (error) {
      this.failed(error);
    }
    this.working = false;
    this.dispatchEvent(new CustomEvent("line"));
    const again = this.wanted;
    this.wanted = false;
    this.plan(again ? 0 : this.tries ? jittered(PAUSES_MS[Math.min(this.tries, PAUSES_MS.length) - 1] ?? LOOK_MS) : LOOK_MS);
  }

  /** @param {unknown} error */
  failed(error) {
    if (this.ending.signal.aborted) return;
    this.tries += 1;
    this.failure = error instanceof Error ? error.message : "";
    if (error instanceof Refusal && error.status === 401) {
      this.say("login");
      this.dispatchEvent(new CustomEvent("login"));
    }
    else this.say(navigator.onLine ? "unreachable" : "offline");
  }

  /** @param {Line} line */
  say(line) {
    if (line === "online") this.failure = "";
    this.listen(line === "online" && document.visibilityState === "visible");
    if (line !== this.line || this.since === null) this.since = line === "online" ? null : Date.now();
    this.line = line;
    this.dispatchEvent(new CustomEvent("line"));
  }

  /** Hear of changes as they happen while somebody looks. @param {boolean} wanted */
  listen(wanted) {
    if (wanted === Boolean(changes.source)) return;
    if (wanted) changes.open();
    else changes.close();
  }

  /** @param {Met | null} met */
  async round(met) {
    await this.meet(met);
    await this.fetchFirst();
    this.dispatchEvent(new CustomEvent("first"));
    await this.register();
    const files = (await this.store.all("files")).filter((/** @type {KeptFile} */ file) => file.state === "phone");
    for (const file of files) await this.tryFile(file, () => announce(this.store, file));
    await this.sendActs();
    await this.fetchOpen();
    for (const file of files) {
      const now = await this.store.get("files", file.sha256);
      if (now?.state === "phone" && !now.why) await this.tryFile(now, () => sendParts(this.store, now, this.ending.signal));
    }
    await this.receipts();
    if (files.length) await this.fetchOpen();
  }

  /** Fetch the list; a task that somebody looks at for the first time is asked for beside it. */
  async fetchFirst() {
    const open = this.open && !(await this.store.get("tasks", this.open))?.detail ? this.open : "";
    const early = open ? askTask(this.store, open).catch(onlyRefused) : null;
    early?.catch(() => null); // one failure is told, not two
    await fetchTasks(this.store);
    const told = await early;
    if (told && (await this.store.get("tasks", open))?.listed) await keepTask(this.store, open, told, "");
  }

  async fetchOpen() {
    for (const task of await this.store.all("tasks")) {
      if (task.listed && (task.task === this.open || !task.detail || task.detail.changed_ms !== task.entry.changed_ms)) await fetchTask(this.store, task.task);
    }
  }

  /** Ask who is logged in here, and what time it is there, unless it was just heard. @param {Met | null} met */
  async meet(met) {
    const { session, ahead_ms } = met ?? (await askSession());
    if (session.person !== this.store.person) throw new Refusal(401, { kind: "unauthenticated", what: "", where: "session" });
    remember(session);
    await this.store.put("facts", session, "session", "relaxed");
    this.ahead_ms = ahead_ms ?? this.ahead_ms;
    this.say("online");
  }

  /** Have the hub certify this phone's key, the first time and well before it runs out; a key that it takes back is made anew. */
  async register() {
    const key = await deviceKey(this.store);
    const now = Date.now() - (this.ahead_ms ?? 0);
    if (key.registered && key.until_ms - now > RENEW * (key.until_ms - key.since_ms)) return;
    try {
      const answer = await call("POST", "work/keys", { spki: key.spki, device: deviceName() });
      await this.store.put("facts", { ...key, registered: true, since_ms: now, until_ms: answer.until_ms }, "key");
    } catch (error) {
      if (!isFinal(error)) throw error;
      await this.store.write(["facts"], (of) => {
        of("facts").delete("key");
        of("facts").delete("chain");
      });
      throw new TypeError(error.message); // with a new key, after a pause
    }
  }

  async sendActs() {
    const all = /** @type {KeptAct[]} */ (await this.store.all("acts"));
    const mine = all.filter((act) => act.mine && act.state === "waiting").sort((one, other) => one.seq - other.seq);
    for (const act of mine) {
      const body = { act: act.text, key_id: act.key, signature: act.signature, sent_ms: Date.now() };
      try {
        const answer = await call("POST", `work/${encodeURIComponent(act.task)}/acts`, body);
        await this.store.change("acts", act.id, () => ({ state: "in-hub", position: answer.position ?? null, why: "" }));
      } catch (error) {
        if (!isFinal(error)) throw error;
        await this.store.change("acts", act.id, () => ({ state: "refused", why: error.message }));
      }
    }
  }

  /** @param {KeptFile} file @param {() => Promise<void>} act */
  async tryFile(file, act) {
    try {
      await act();
    } catch (error) {
      if (!isFinal(error)) throw error;
      await this.store.change("files", file.sha256, () => ({ why: error.message }));
    }
  }

  /** Verify that what the hub took stands in the log; then, and only then, it is green. */
  async receipts() {
    const mine = (await this.store.all("acts")).filter((/** @type {KeptAct} */ act) => act.mine && act.state === "in-hub");
    if (mine.length) {
      const vkey = await (await send("GET", "log/vkey")).text();
      for (const act of mine) await this.receipt(act, vkey);
    }
    const acts = /** @type {KeptAct[]} */ (await this.store.all("acts"));
    this.unproven = acts.filter((act) => act.mine && act.state === "in-hub" && !act.why).length;
    const verified = acts.filter((/** @type {KeptAct} */ act) => act.mine && act.state === "verified");
    const texts = verified.map((/** @type {KeptAct} */ act) => act.text);
    for (const file of await this.store.all("files")) {
      const named = file.state === "hub" && texts.some((/** @type {string} */ text) => text.includes(file.sha256));
      if (named) await this.store.change("files", file.sha256, () => ({ state: "verified", why: "" }));
    }
  }

  /** @param {KeptAct} act @param {string} vkey */
  async receipt(act, vkey) {
    try {
      const proof = await call("GET", `work/${encodeURIComponent(act.task)}/proof/${act.id}`);
      await checkReceipt(proof, act, vkey);
      await this.store.change("acts", act.id, () => ({ state: "verified", why: "" }));
    } catch (error) {
      const why = error instanceof ReceiptError ? `receipt.${error.message}` : error instanceof LogRefused ? `pin.${error.reason}` : null;
      if (why) await this.store.change("acts", act.id, () => ({ why }));
      else if (!(error instanceof Refusal)) throw error; // not published yet: looked at again in the next round
    }
  }
}

/** Ask who is logged in here, and how far this phone's clock is ahead of the hub's; throws as `send`. @returns {Promise<Met>} */
export async function askSession() {
  const asked = Date.now();
  const answer = await send("GET", "session");
  const heard = Date.now();
  const told = Date.parse(answer.headers.get("date") ?? "");
  return { session: await answer.json(), ahead_ms: Number.isNaN(told) ? null : Math.round((asked + heard) / 2 - (told + 500)) }; // a header's time is cut to the second
}

/** @param {unknown} error @returns {null} */
function onlyRefused(error) {
  if (!isFinal(error)) throw error;
  return null; // not one's task: the list says so
}

/** Tell whether trying the same again would be refused the same. @param {unknown} error @returns {error is Refusal} */
function isFinal(error) {
  return error instanceof Refusal && error.status >= 400 && error.status < 500 && !AGAIN.includes(error.status);
}

/** @param {number} pause */
function jittered(pause) {
  return pause * (0.8 + Math.random() * 0.4);
}

function deviceName() {
  const [, inner = ""] = /\(([^)]*)\)/.exec(navigator.userAgent) ?? [];
  return inner.slice(0, 80) || "phone";
}
