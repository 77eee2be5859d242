// Read a code by the camera where the browser can (BarcodeDetector), by typing where it cannot. One dialog for both.
import { h } from "../dom.js";
import { t } from "../words.js";

const LOOK_MS = 200;

/**
 * Ask for a code; null when it was given up.
 * @param {string} title @param {(text: string) => string | null} faultOf what is wrong with it, in words @returns {Promise<string | null>}
 */
export function scanCode(title, faultOf) {
  return new Promise((resolve) => {
    const input = h("input", { name: "code", autocomplete: "off", autocapitalize: "characters", "aria-label": title, required: true });
    const failure = h("p", { class: "notice bad hidden", role: "alert" });
    const video = h("video", { class: "work-scan hidden", playsinline: true, muted: true });
    const watching = new AbortController();
    let found = /** @type {string | null} */ (null);
    const take = (/** @type {string} */ text) => {
      const fault = faultOf(text.trim());
      failure.classList.toggle("hidden", fault === null);
      failure.textContent = fault ?? "";
      if (fault !== null) return;
      found = text.trim();
      navigator.vibrate?.(100);
      dialog.close();
    };
    const form = h(
      "form",
      {
        class: "stack",
        onsubmit: (/** @type {Event} */ event) => {
          event.preventDefault();
          take(input.value);
        },
      },
      h("h2", {}, title),
      video,
      h("label", {}, h("span", {}, t("work.type-code")), input),
      failure,
      h("div", { class: "row" }, h("button", { class: "primary" }, t("work.go")), h("button", { type: "button", onclick: () => dialog.close() }, t("app.cancel"))),
    );
    const dialog = h("dialog", {}, form);
    dialog.addEventListener("close", () => {
      watching.abort();
      dialog.remove();
      resolve(found);
    });
    document.body.append(dialog);
    dialog.showModal();
    void watch(video, watching.signal, (text) => !dialog.open || take(text));
  });
}

/** @param {HTMLVideoElement} video @param {AbortSignal} signal @param {(text: string) => void} told */
async function watch(video, signal, told) {
  const Detector = /** @type {any} */ (globalThis).BarcodeDetector;
  if (!Detector || !navigator.mediaDevices) return;
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } }).catch(() => null);
  if (!stream) return;
  const stop = () => stream.getTracks().forEach((track) => track.stop());
  if (signal.aborted) return stop();
  signal.addEventListener("abort", stop);
  video.srcObject = stream;
  video.classList.remove("hidden");
  await video.play().catch(() => undefined);
  const detector = new Detector();
  while (!signal.aborted) {
    const codes = await detector.detect(video).catch(() => []);
    if (codes[0] && !signal.aborted) told(codes[0].rawValue);
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
}
