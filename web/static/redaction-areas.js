// Areas over time as the hub takes them: rectangles at instants, joined by straight lines.

/** @typedef {import("./redaction-canvas.js").Edges} Edges */
/** @typedef {import("./evidence-player.js").EvidencePlayer} EvidencePlayer */
/** @typedef {{ms: number, edges: Edges}} Place at a wall instant */
/** @typedef {{places: Place[], until: number, way: "black" | "blur"}} Area times are wall instants */

const MEDIA_HZ = 90000;

/** The wall instant of the picture that is shown, as the hub counts it: from its own segment's start. @param {EvidencePlayer} player */
export function shownAt(player) {
  const reel = player.reel;
  if (!reel) return player.position;
  const shown = reel.framesAround(player.video.currentTime).shown;
  const entry = [...reel.loaded.values()].find((one) => shown !== null && one.frames.includes(shown));
  if (shown === null || !entry) return player.position;
  return entry.segment.from_ms + (shown - reel.offsetOf(entry.segment) - entry.segment.media_from / MEDIA_HZ) * 1000;
}

/** Where an area is at an instant; null when it does not count then. @param {Area} area @param {number} ms @returns {Edges | null} */
export function edgesAt(area, ms) {
  const first = area.places[0];
  if (!first || ms >= area.until || ms < first.ms - 1) return null;
  let before = first;
  for (const place of area.places) {
    if (place.ms >= ms && place !== before) {
      const share = Math.max(0, (ms - before.ms) / (place.ms - before.ms));
      const mix = (/** @type {0 | 1 | 2 | 3} */ at) => before.edges[at] + (place.edges[at] - before.edges[at]) * share;
      return [mix(0), mix(1), mix(2), mix(3)];
    }
    before = place;
  }
  return before.edges;
}

/** Put an area to a place at an instant. @param {Area} area @param {number} ms @param {Edges} edges */
export function put(area, ms, edges) {
  area.places = [...area.places.filter((place) => Math.abs(place.ms - ms) > 1), { ms, edges }].sort((one, other) => one.ms - other.ms);
}

/** An area as the API takes it. @param {Area} area @param {number} from where the stretch begins */
export function toAsk(area, from) {
  const points = area.places.map((place) => [Math.max(0, Math.floor(place.ms - from)), ...place.edges.map(Math.round)]);
  return { points: points.filter((point, at) => at === 0 || Number(point[0]) > Number(points[at - 1]?.[0])), until_ms: Math.ceil(area.until - from), way: area.way };
}

/** A proposal as an area. @param {{points: number[][], until_ms: number}} proposal @param {number} from @returns {Area} */
export function ofProposal(proposal, from) {
  const places = proposal.points.map(([at, ...edges]) => ({ ms: from + Number(at), edges: /** @type {Edges} */ (edges) }));
  return { places, until: from + proposal.until_ms, way: "black" };
}
