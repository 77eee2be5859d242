// Boxes: state, last word, what waits, clock, journal; enrolment of new ones.
import { call, mayBe, part } from "./api.js";
import { whenChanged } from "./changes.js";
import { fill, h, values } from "./dom.js";
import { bytes, clock, known, moment, stretch, t } from "./words.js";

/** @typedef {{source: string, role: string, state: string, detail: string, last_unit_ms: number | null, bitrate: number, frames: number, lost: number, task: string | null}} Source */
/** @typedef {{sync: string, software: string, transport: string, journal_size: number, unsent_records: number, unsent_blobs: number, unsent_bytes: number, unreceipted: number, free_bytes: number, disk: string, sources: Source[]}} Report */
/** @typedef {{box: string, enrolled: boolean, online: boolean, last_seen_ms: number | null, clock_offset_ms: number | null, epoch: number | null, persisted: number, receipted: number, report: Report | null}} Device */
/** @typedef {{request: string, box: string, state: string, asked_ms: number, fingerprint: string}} Enrolment */

export class DeviceList extends HTMLElement {
  constructor() {
    super();
    this.stop = () => {};
    this.body = h("div", { class: "cards" }, h("p", { class: "empty pulse" }, t("app.loading")));
    this.enrolments = h("section", { class: "stack" });
  }

  connectedCallback() {
    fill(this, h("div", { class: "page-head" }, h("h1", {}, t("nav.devices"))), this.body, mayBe("administrator") && h("div", { class: "below" }, this.enrolments));
    const unheard = whenChanged([], () => this.refresh(), 2000);
    const poll = window.setInterval(() => void this.refresh(), 3000);
    this.stop = () => {
      unheard();
      clearInterval(poll);
    };
    void this.refresh();
    void this.refreshEnrolments();
  }

  disconnectedCallback() {
    this.stop();
  }

  async refresh() {
    try {
      const answer = await call("GET", "devices");
      const devices = /** @type {Device[]} */ (answer.devices);
      fill(this.body, ...(devices.length ? devices.map((device) => card(device)) : [h("p", { class: "empty" }, t("devices.empty"))]));
    } catch (error) {
      if (!this.body.querySelector(".device")) fill(this.body, h("p", { class: "notice bad" }, error instanceof Error ? error.message : ""));
    }
  }

  async refreshEnrolments() {
    if (!mayBe("administrator")) return;
    const answer = await call("GET", "enrolments").catch(() => ({ enrolments: [] }));
    const waiting = /** @type {Enrolment[]} */ (answer.enrolments);
    const made = h("p", { class: "notice good hidden" });
    const form = h(
      "form",
      {
        class: "row token-form",
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          try {
            const token = await call("POST", "enrolments/tokens", { box: values(form)["box"] });
            fill(made, t("enrol.token", { box: token.box, time: moment(token.expires_ms) }), h("br"), h("code", {}, token.token));
          } catch (error) {
            fill(made, error instanceof Error ? error.message : "");
          }
          made.classList.remove("hidden");
        },
      },
      h("input", { name: "box", placeholder: "box-3", required: true, maxlength: "32", style: null, "aria-label": t("enrol.box") }),
      h("button", {}, t("enrol.make")),
    );
    fill(
      this.enrolments,
      h("div", { class: "card stack" }, h("h2", {}, t("enrol.title")), h("p", { class: "soft" }, t("enrol.about")), form, made, ...(waiting.length ? waiting.map((request) => this.request(request)) : [h("p", { class: "soft" }, t("enrol.none"))])),
    );
  }

  /** @param {Enrolment} request */
  request(request) {
    const failure = h("span", { class: "badge bad hidden" });
    const area = h("textarea", { rows: "3", placeholder: t("enrol.paste"), "aria-label": t("enrol.paste") });
    const issue = async () => {
      try {
        await call("POST", `enrolments/${part(request.request)}/issue`, { certificates: area.value });
        await this.refreshEnrolments();
      } catch (error) {
        failure.textContent = error instanceof Error ? error.message : "";
        failure.classList.remove("hidden");
      }
    };
    return h(
      "details",
      { class: "list-item" },
      h("summary", {}, `${request.box} · ${known("enrolment", request.state)} · ${moment(request.asked_ms)}`),
      h("p", {}, t("enrol.compare"), " ", h("code", {}, request.fingerprint)),
      area,
      h("div", { class: "row" }, h("button", { class: "primary", onclick: () => void issue() }, t("enrol.approve")), failure),
    );
  }
}

/** @param {Device} device */
function card(device) {
  const { report } = device;
  const state = !device.enrolled ? ["off", t("devices.not-enrolled")] : device.online ? ["good", t("devices.online")] : ["bad", t("devices.offline")];
  const seen = device.last_seen_ms;
  const offset = device.clock_offset_ms;
  /** @type {[string, string | Node][]} */
  const rows = [[t("devices.seen"), seen ? `${moment(seen)} (${t("app.ago", { time: stretch(Math.max(0, Date.now() - seen)) })})` : t("devices.never")]];
  if (report) {
    const behind = report.unsent_records || report.unsent_blobs;
    rows.push(
      [t("devices.spool"), h("span", { class: behind ? "badge wait" : "badge good" }, h("i"), t("devices.unsent", { records: report.unsent_records, blobs: report.unsent_blobs, size: bytes(report.unsent_bytes) }))],
      [t("devices.clock"), h("span", {}, `${offset === null ? "—" : `${offset > 0 ? "+" : ""}${Math.round(offset)} ms`} `, h("span", { class: `badge ${report.sync === "synced" ? "good" : "warn"}` }, h("i"), known("sync", report.sync)))],
      [t("devices.journal"), t("devices.positions", { epoch: device.epoch ?? "—", written: report.journal_size, persisted: device.persisted, receipted: device.receipted })],
      [t("devices.disk"), h("span", { class: `badge ${{ ok: "good", low: "warn", full: "bad" }[report.disk] ?? "off"}` }, h("i"), `${known("disk", report.disk)} · ${t("devices.free", { size: bytes(report.free_bytes) })}`)],
      [t("devices.software"), `${report.software} · ${report.transport}`],
    );
  }
  return h(
    "article",
    { class: `card device${device.online ? "" : " stale"}` },
    h("div", { class: "row" }, h("h2", { class: "grow" }, device.box), h("span", { class: `badge ${state[0]}` }, h("i"), state[1] ?? "")),
    h("dl", { class: "live-number" }, ...rows.flatMap(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])),
    report && !device.online && h("p", { class: "small" }, t("devices.last-heard", { time: moment(seen) })),
    report && sources(report.sources, device.online),
  );
}

/** @param {Source[]} list @param {boolean} online */
function sources(list, online) {
  if (!list.length) return h("p", { class: "soft" }, t("devices.no-sources"));
  const kind = (/** @type {string} */ state) => (!online ? "off" : { recording: "good", waiting: "wait", stopped: "off" }[state] ?? "bad");
  return h(
    "div",
    { class: "scroll" },
    h(
      "table",
      {},
      h(
        "tbody",
        {},
        ...list.map((source) =>
          h(
            "tr",
            {},
            h("td", {}, h("strong", {}, source.source), h("div", { class: "soft small" }, t(`role.${source.role}`))),
            h("td", {}, h("span", { class: `badge ${kind(source.state)}` }, h("i"), online ? known("source", source.state) : t("devices.was", { state: known("source", source.state) })), source.detail && h("div", { class: "small" }, source.detail)),
            h("td", { class: "number live-number" }, online ? `${(source.bitrate / 1e6).toFixed(2)} Mbit/s` : "—", online && h("div", { class: "soft small" }, t("devices.lost", { lost: source.lost }))),
            h("td", { class: "small", title: t("devices.last-picture") }, clock(source.last_unit_ms)),
          ),
        ),
      ),
    ),
  );
}

customElements.define("device-list", DeviceList);
