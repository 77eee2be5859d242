// Take a photograph, a film, a voice note: the phone's own camera where there is one, the microphone in the page for voice.
import { fill, h } from "../dom.js";
import { t } from "../words.js";

/** @typedef {import("./files.js").FileKind} FileKind */
/** @typedef {(kind: FileKind, blob: Blob, name: string) => Promise<void>} Taken */

/** @type {Record<string, string>} */
const SIGNS = { photo: "◎", video: "▶", audio: "♪" };

/** Buttons that take files of these kinds. @param {string[]} kinds @param {Taken} taken */
export function takeButtons(kinds, taken) {
  const state = h("span", { class: "soft small", role: "status" });
  const told = async (/** @type {FileKind} */ kind, /** @type {Blob} */ blob, /** @type {string} */ name) => {
    state.textContent = t("work.keeping");
    try {
      await taken(kind, blob, name);
      state.textContent = "";
    } catch (error) {
      state.textContent = t("work.not-kept", { why: error instanceof Error ? error.message : "" });
    }
  };
  return h("div", { class: "work-take" }, ...kinds.map((kind) => (kind === "audio" ? voice(told) : fromCamera(/** @type {FileKind} */ (kind), told))), state);
}

/** @param {FileKind} kind @param {Taken} taken */
function fromCamera(kind, taken) {
  const input = h("input", {
    type: "file",
    class: "work-file",
    accept: kind === "photo" ? "image/*" : "video/*",
    capture: "environment",
    multiple: kind === "photo",
    "data-take": kind,
    "aria-label": t(`work.take-${kind}`),
    onchange: async () => {
      for (const file of input.files ?? []) await taken(kind, file, file.name);
      input.value = "";
    },
  });
  return h("label", { class: "button work-take-button" }, h("span", { "aria-hidden": "true" }, SIGNS[kind] ?? ""), t(`work.take-${kind}`), input);
}

/** @param {Taken} taken */
function voice(taken) {
  const place = h("span", { class: "work-voice" });
  const begin = h("button", { type: "button", "data-take": "audio", onclick: () => void record() }, `${SIGNS["audio"]} ${t("work.take-audio")}`);
  const record = async () => {
    const stream = await navigator.mediaDevices?.getUserMedia({ audio: true }).catch(() => null);
    if (!stream) return fill(place, fileOfSound(taken));
    const recorder = new MediaRecorder(stream);
    /** @type {Blob[]} */
    const pieces = [];
    const stop = h("button", { type: "button", class: "danger", onclick: () => recorder.stop() }, `■ ${t("work.stop-audio")}`);
    recorder.addEventListener("dataavailable", (event) => {
      pieces.push(event.data);
      if (event.data.size) stop.dataset["heard"] = "true"; // something is recorded: a stop before that keeps nothing, and says so
    });
    recorder.addEventListener("stop", () => {
      stream.getTracks().forEach((track) => track.stop());
      fill(place, begin);
      void taken("audio", new Blob(pieces, { type: recorder.mimeType }), "voice");
    });
    recorder.start(500);
    fill(place, stop);
  };
  fill(place, begin);
  return place;
}

/** @param {Taken} taken */
function fileOfSound(taken) {
  const input = h("input", { type: "file", class: "work-file", accept: "audio/*", capture: true, "data-take": "audio", "aria-label": t("work.take-audio"), onchange: async () => {
    const file = input.files?.[0];
    if (file) await taken("audio", file, file.name);
    input.value = "";
  } });
  return h("label", { class: "button work-take-button" }, `${SIGNS["audio"]} ${t("work.choose-audio")}`, input);
}
