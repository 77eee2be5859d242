// Follow the hub's server-sent events and tell the page; say when the line is down and since when.

import { call } from "./api.js";

const AGAIN_MS = 5000;

/** @typedef {{event: string, subject?: string, [more: string]: unknown}} Change */

/** The line of events. Dispatches `change` (detail: Change) and `line` (detail: since when it is down, or null). */
export class Changes extends EventTarget {
  constructor() {
    super();
    /** @type {EventSource | null} */
    this.source = null;
    /** @type {number | null} */
    this.downSince = null;
  }

  open() {
    this.close();
    this.source = new EventSource("/api/v1/events");
    this.source.addEventListener("open", () => this.setDown(null));
    this.source.addEventListener("error", () => this.failed());
    this.source.addEventListener("message", (event) => this.dispatchEvent(new CustomEvent("change", { detail: JSON.parse(event.data) })));
  }

  /** The hub ends the line when a login or a role ends: asking who we are tells, and leads to the login page. */
  failed() {
    this.setDown(this.downSince ?? Date.now());
    if (this.source?.readyState !== EventSource.CLOSED) return; // it tries again by itself
    const refused = this.source;
    void call("GET", "session").catch(() => undefined);
    window.setTimeout(() => {
      if (this.source === refused) this.open();
    }, AGAIN_MS);
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  /** @param {number | null} since */
  setDown(since) {
    if (since === this.downSince) return;
    this.downSince = since;
    this.dispatchEvent(new CustomEvent("line", { detail: since }));
  }
}

export const changes = new Changes();

/**
 * Call `refresh` soon after any change of these kinds, at most once in `pause` ms; give the way to stop.
 * @param {string[]} kinds
 * @param {() => void | Promise<void>} refresh
 * @param {number} [pause]
 */
export function whenChanged(kinds, refresh, pause = 1000) {
  let timer = 0;
  const heard = (/** @type {Event} */ event) => {
    const change = /** @type {CustomEvent<Change>} */ (event).detail;
    if (timer || (kinds.length && !kinds.includes(change.event))) return;
    timer = window.setTimeout(() => {
      timer = 0;
      void refresh();
    }, pause);
  };
  changes.addEventListener("change", heard);
  return () => {
    changes.removeEventListener("change", heard);
    clearTimeout(timer);
  };
}
