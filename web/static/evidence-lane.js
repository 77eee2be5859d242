// What the API tells of a task's lanes, and where a wall instant falls on one.

import { known, several } from "./words.js";

/** @typedef {import("./evidence-state.js").State} State */
/** @typedef {{issuer: string, epoch: number, position: number}} RecordPlace */
/** @typedef {{state: State, from_ms: number, to_ms: number, sha256: string, size: number, number: number, run: number, media_from: number, recovered: boolean, bound: number | null, why: string, record: RecordPlace}} Segment */
/** @typedef {{state: State, from_ms: number, to_ms: number, cause: string, detail: string, record: RecordPlace | null}} Gap */
/** @typedef {{period_ms: number, recorded_ms: number, gap_ms: number, unexplained_ms: number, percent: number}} Coverage */
/** @typedef {{stream: string, role: string, late: boolean, linked: [number, number][], segments: Segment[], gaps: Gap[], coverage: Coverage, spans: [number, number, number, number][], span_ms: number}} Lane */
/** @typedef {{task: string, from_ms: number, to_ms: number, lanes: Lane[], detail: "pieces" | "spans" | "none"}} Timeline */
/** @typedef {Segment | Gap} Piece */

/** @param {Piece} piece @returns {piece is Segment} */
export function isSegment(piece) {
  return "sha256" in piece;
}

/**
 * Find the piece at a wall instant: a segment before a gap, null when nothing is known there.
 * @param {Lane} lane
 * @param {number} ms
 * @returns {Piece | null}
 */
export function pieceAt(lane, ms) {
  return last(lane.segments, ms) ?? lane.gaps.find((gap) => gap.from_ms <= ms && ms < gap.to_ms) ?? null;
}

/** @param {Segment[]} segments in order @param {number} ms @returns {Segment | null} */
function last(segments, ms) {
  let low = 0;
  let high = segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {Segment} */ (segments[middle]).from_ms <= ms) low = middle + 1;
    else high = middle;
  }
  const found = segments[low - 1];
  return found && ms < found.to_ms ? found : null;
}

/** The first segment that begins at or after an instant. @param {Lane} lane @param {number} ms */
export function nextSegment(lane, ms) {
  return lane.segments.find((segment) => segment.from_ms >= ms) ?? null;
}

/** What a segment waits for, or why it failed, in the reader's words. @param {string} why */
export function whyOf(why) {
  return several(why.split(", ").map((one) => known("why", one)));
}

/** The worst state of a timeline, in the order in which a person must look; "none" without any piece. @param {Lane[]} lanes @returns {State | "none"} */
export function verdictOf(lanes) {
  const pieces = lanes.flatMap((lane) => [...lane.segments, ...lane.gaps]);
  for (const state of /** @type {State[]} */ (["failed", "unknown", "pending", "gap", "disposed"])) if (pieces.some((piece) => piece.state === state)) return state;
  return pieces.length ? "verified" : "none";
}
