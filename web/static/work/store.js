// What the phone keeps, in IndexedDB, one database for each person: tasks, procedures, acts, files, answers not yet signed, the device key.
// A write is over when the disk has it (strict durability), so that a killed browser or an empty battery loses nothing that was shown as kept.

/** @typedef {import("./answers.js").Parts} Parts */
/** @typedef {import("./completeness.js").Missing} Missing */
/** @typedef {import("./procedure.js").Procedure} Procedure */
/** @typedef {{task: string, title: string, declaration: string | null, declaration_state: string, bay: string | null, state: string, role: string | null, have: number, want: number, procedure: string | null, changed_ms: number}} TaskEntry */
/** @typedef {{stream: string, state: string, by?: string, from_ms?: number | null, [more: string]: unknown}} Pairing */
/** @typedef {{position: number, at_ms: number, by: string | null, text: string | null, read_by: string | null, read_ms: number | null}} Instruction */
/** @typedef {Record<string, any>} Extract */
/** @typedef {{task: string, declaration: Extract | null, procedure: Procedure, procedure_sha256: string, team: string[], parts: Parts, open: {container: string, packages: number[]}[], files: Record<string, string>, pairings: Pairing[], missing: Missing[], have: number, want: number, instructions: Instruction[], paused: any, [more: string]: unknown}} TaskDetail */
/** @typedef {{task: string, entry: TaskEntry, detail: TaskDetail | null, fetched_ms: number, after: number, listed: boolean}} KeptTask */
/** @typedef {"waiting" | "in-hub" | "verified" | "refused"} ActState */
/** @typedef {{id: string, task: string, kind: string, text: string, signature: string, key: string, seq: number, mine: boolean, by: string, device: string, made_ms: number, at_ms: number | null, position: number | null, state: ActState, why: string, settled?: boolean}} KeptAct */
/** @typedef {"phone" | "hub" | "verified"} FileState */
/** @typedef {{sha256: string, task: string, blob: Blob | null, size: number, name: string, kind: string, item: string, at: string, made_ms: number, state: FileState, have: number, why: string}} KeptFile */
/** @typedef {{key: string, task: string, item: string, at: string, value: any, dwell_ms: number, phone_ms: number, replaces: string[], reason: string}} Draft */
/** @typedef {"facts" | "tasks" | "acts" | "files" | "drafts"} Shelf */

const VERSION = 1;

/** A person's shelves on this phone. Dispatches `changed` (detail: shelves) after each write. */
export class Store extends EventTarget {
  /** @param {IDBDatabase} database @param {string} person */
  constructor(database, person) {
    super();
    this.database = database;
    this.person = person;
    this.tabs = new BroadcastChannel(`portwitness-work/${person}`); // the page may be open twice: in a tab and from the home screen
    this.tabs.addEventListener("message", (event) => this.dispatchEvent(new CustomEvent("changed", { detail: event.data })));
  }

  close() {
    this.tabs.close();
    this.database.close();
  }

  /** @param {Shelf} shelf @param {string} key @returns {Promise<any>} */
  get(shelf, key) {
    return result(this.database.transaction(shelf).objectStore(shelf).get(key));
  }

  /** @param {Shelf} shelf @returns {Promise<any[]>} */
  all(shelf) {
    return result(this.database.transaction(shelf).objectStore(shelf).getAll());
  }

  /** @param {"acts" | "files" | "drafts"} shelf @param {string} task @returns {Promise<any[]>} */
  ofTask(shelf, task) {
    return result(this.database.transaction(shelf).objectStore(shelf).index("task").getAll(task));
  }

  /**
   * Write to some shelves at once: all of it or nothing. What was done on this phone is on its disk before it counts; what the hub would
   * give once more (`relaxed`) need not wait for the disk.
   * @param {Shelf[]} shelves @param {(of: (shelf: Shelf) => IDBObjectStore) => void} act @param {IDBTransactionDurability} [durability]
   * @returns {Promise<void>}
   */
  write(shelves, act, durability = "strict") {
    return new Promise((resolve, reject) => {
      const transaction = this.database.transaction(shelves, "readwrite", { durability });
      transaction.addEventListener("complete", () => {
        resolve();
        this.dispatchEvent(new CustomEvent("changed", { detail: shelves }));
        this.tell(shelves);
      });
      transaction.addEventListener("abort", () => reject(transaction.error ?? new Error("storage")));
      act((shelf) => transaction.objectStore(shelf));
    });
  }

  /** @param {Shelf[]} shelves */
  tell(shelves) {
    try {
      this.tabs.postMessage(shelves);
    } catch {
      // closed meanwhile: another tab reads what is kept when it is looked at
    }
  }

  /** @param {Shelf} shelf @param {any} value @param {string} [key] @param {IDBTransactionDurability} [durability] as for `write` */
  put(shelf, value, key, durability = "strict") {
    return this.write([shelf], (of) => void of(shelf).put(value, key), durability);
  }

  /**
   * Change one thing if it is there, in one go with reading it: another tab may have written meanwhile.
   * @param {Shelf} shelf @param {string} key @param {(value: any) => any} change
   */
  change(shelf, key, change) {
    return this.write([shelf], (of) => {
      const request = of(shelf).get(key);
      request.addEventListener("success", () => {
        if (request.result !== undefined) of(shelf).put({ ...request.result, ...change(request.result) });
      });
    });
  }
}

/** Open a person's database. @param {string} person @returns {Promise<Store>} */
export async function openStore(person) {
  const request = indexedDB.open(`portwitness-work/${person}`, VERSION);
  request.addEventListener("upgradeneeded", () => {
    request.result.createObjectStore("facts");
    request.result.createObjectStore("tasks", { keyPath: "task" });
    request.result.createObjectStore("acts", { keyPath: "id" }).createIndex("task", "task");
    request.result.createObjectStore("files", { keyPath: "sha256" }).createIndex("task", "task");
    request.result.createObjectStore("drafts", { keyPath: "key" }).createIndex("task", "task");
  });
  const database = await result(request);
  database.addEventListener("versionchange", () => database.close());
  return new Store(database, person);
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function result(request) {
  return new Promise((resolve, reject) => {
    request.addEventListener("success", () => resolve(request.result));
    request.addEventListener("error", () => reject(request.error));
  });
}
