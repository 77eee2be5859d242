// The page: take a bundle and a trust file, verify, show. It never uses the network (its policy forbids it).

import { Fault, toHex } from "./bytes.js";
import { isoTime } from "./reckoning.js";
import { verifyBundle } from "./verdict.js";
import { WORDS } from "./words.js";

const chosen = { pairs: [], trust: null };
let chinese = /^zh/i.test(navigator.language);
let shown = null; // the last result, or the Fault that ended it

const byId = (id) => document.getElementById(id);
const word = (key) => (WORDS[key] ? WORDS[key][chinese ? 1 : 0] : key);
const told = (one) => (chinese ? one.zh : one.en);

function make(tag, attributes = {}, ...children) {
  const out = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) out.setAttribute(name, value);
  out.append(...children);
  return out;
}

function speak() {
  document.documentElement.lang = chinese ? "zh-CN" : "en";
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = word(one.dataset.word);
  byId("language").textContent = word("language");
  document.title = word("title");
  showChosen();
  if (shown) show(shown);
}

function showChosen() {
  const parts = [];
  if (chosen.pairs.length) parts.push(`${chosen.pairs[0][0].split("/")[0]} (${chosen.pairs.length} ${word("files")})`);
  if (chosen.trust) parts.push(chosen.trust.name);
  byId("chosen").textContent = parts.join(" + ");
  byId("verify").disabled = !(chosen.pairs.length && chosen.trust);
}

// ----------------------------------------------------------------------------------------------------------------------- choosing

async function walk(entry, out) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    out.push([entry.fullPath.replace(/^\//, ""), file]);
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const one of some) await walk(one, out);
  }
}

async function dropped(event) {
  event.preventDefault();
  byId("drop").classList.remove("over");
  const entries = [...event.dataTransfer.items].map((one) => one.webkitGetAsEntry()).filter(Boolean), pairs = [];
  for (const entry of entries) {
    const found = [];
    await walk(entry, found);
    if (entry.isFile && /\.json$/i.test(entry.name)) chosen.trust = found[0][1];
    else pairs.push(...found);
  }
  if (pairs.length) chosen.pairs = pairs;
  showChosen();
}

// ------------------------------------------------------------------------------------------------------------------------ showing

async function verify() {
  const bar = byId("progress");
  document.body.dataset.state = "working";
  [bar.hidden, bar.value, byId("result").hidden, byId("verify").disabled] = [false, 0, true, true];
  try {
    const trust = new Uint8Array(await chosen.trust.arrayBuffer());
    shown = await verifyBundle(chosen.pairs, trust, (done, total) => ([bar.max, bar.value] = [total || 1, done]));
  } catch (error) {
    const text = String(error.message ?? error);
    shown = error instanceof Fault ? error : new Fault("page", text, text);
  }
  [bar.hidden, byId("verify").disabled] = [true, false];
  show(shown);
}

function show(result) {
  const place = byId("result");
  place.hidden = false;
  if (result instanceof Fault) {
    place.replaceChildren(make("p", { class: "verdict bad" }, `${word("unreadable")}: ${result.where}: ${told(result)}`));
    document.body.dataset.state = "unreadable";
    return;
  }
  place.replaceChildren(
    make("p", { class: result.valid ? "verdict" : "verdict bad" }, result.valid ? word("valid") : `${word("invalid")}: ${result.faults.length}`),
    facts(result),
    ...(result.faults.length ? [heading("faults"), list(result.faults.map((one) => [make("code", {}, one.file), ` ${told(one)}`]), "bad")] : []),
    heading("segments"), segmentTable(result.segments),
    heading("streams"), streamTable(result.streams),
    heading("custody"), table(["leaf", "time", "record", "person", "subject", "detail"], result.custody.map((one) => [one.leaf, isoTime(one.wall), `${one.kind}: ${one.act}`, one.person, one.subject, one.detail])),
    heading("unchecked"), list(result.unchecked.map((one) => [told(one)])),
    make("details", {}, make("summary", {}, word("json")), make("pre", { id: "json" }, asJson(result))),
  );
  document.body.dataset.state = result.valid ? "valid" : "invalid";
}

const heading = (key) => make("h2", {}, word(key));
const list = (rows, name = "") => make("ul", {}, ...rows.map((row) => make("li", { class: name }, ...row)));

function table(heads, rows) {
  const cell = (value) => (value instanceof Node ? value : make("td", {}, String(value)));
  const head = make("tr", {}, ...heads.map((one) => make("th", {}, word(one))));
  return make("div", { class: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
}

const state = (value) => make("td", { class: value === "ok" ? "good" : ["altered", "missing"].includes(value) ? "bad" : "" }, word(value));
const instant = (value) => (value === null ? word("unknown") : isoTime(value));

const between = (from, to) => make("td", { class: "times" }, make("div", {}, from), make("div", {}, to));

function facts(result) {
  const { trust } = result, quorum = trust.asks ? trust.policy.quorum : word("none"), at = result.checkpointTime === null ? word("unknown") : isoTime(result.checkpointTime);
  return table(["task", "checkpoint", "root", "log", "quorum"], [[
    `${result.task ?? word("unknown")}${result.title ? ` ${result.title}` : ""}`, `${result.checkpointSize ?? word("unknown")}, ${at}`,
    make("td", {}, make("code", {}, trust.rootSha256)), make("td", {}, make("code", {}, `${trust.log.name} ${toHex(trust.log.raw)}`)), quorum,
  ]]);
}

function segmentTable(segments) {
  const rows = segments.map((one) => {
    const whole = one.state !== "recovered" ? word("whole") : `${word("recovered")}, ${one.bound}/${one.size} ${word("boundBytes")}`;
    return [
      `${one.stream}/${one.number}`, state(one.integrity), state(one.samples), `${word(one.imported ? "imported" : "live")} (${one.origin})`,
      one.lost ? `${whole}, ${one.lost} ${word("packets")}` : whole, between(instant(one.start.earliest), instant(one.end.latest)), between(isoTime(one.wallFrom), isoTime(one.wallTo)), word("custodyShort"),
      make("td", { class: one.signer === "counted" ? "" : "bad" }, `${one.box} ${one.sessionKey}: ${word(one.signer)}`),
    ];
  });
  return table(["segment", "integrity", "samples", "origin", "completeness", "when", "claimed", "handled", "signer"], rows);
}

function streamTable(streams) {
  const ms = (value) => `${value / 1000000n} ms`;
  return table(["stream", "recorded", "gaps", "unexplained", "late"], streams.map((one) => [
    one.stream, `${one.percent.toFixed(3)} %, ${ms(one.recorded)}`,
    make("td", {}, ...one.gaps.map((gap) => make("div", {}, `${isoTime(gap.start)} \u2013 ${isoTime(gap.end)}: ${word(gap.cause)}`))),
    ms(one.unexplained.reduce((sum, hole) => sum + hole.end - hole.start, 0n)), one.late ? word("late") : "",
  ]));
}

function asJson(result) {
  const time = (value) => (value === null ? null : isoTime(value));
  const span = (one) => ({ earliest: time(one.earliest), latest: time(one.latest), claimed: isoTime(one.claimed) });
  return JSON.stringify({
    task: result.task, valid: result.valid, checkpoint: { size: result.checkpointSize, time: time(result.checkpointTime) },
    faults: result.faults.map((one) => ({ file: one.file, what: one.en })),
    segments: result.segments.map((one) => ({ file: one.file, integrity: one.integrity, samples: one.samples, signer: one.signer, not_before: time(one.start.earliest), not_after: time(one.end.latest), start: span(one.start), end: span(one.end) })),
    streams: result.streams.map((one) => ({ stream: one.stream, percent: Math.round(one.percent * 10000) / 10000, recorded_ms: Number(one.recorded / 1000000n), gaps: one.gaps.map((gap) => ({ from: isoTime(gap.start), to: isoTime(gap.end), cause: gap.cause })), unexplained_ms: Number(one.unexplained.reduce((sum, hole) => sum + hole.end - hole.start, 0n) / 1000000n) })),
    not_checked: result.unchecked.map((one) => one.en),
  }, null, 1);
}

byId("zip").addEventListener("change", (event) => {
  chosen.pairs = [...event.target.files].map((file) => [file.name, file]);
  showChosen();
});
byId("folder").addEventListener("change", (event) => {
  chosen.pairs = [...event.target.files].map((file) => [file.webkitRelativePath, file]);
  showChosen();
});
byId("trust").addEventListener("change", (event) => {
  chosen.trust = event.target.files[0] ?? null;
  showChosen();
});
byId("verify").addEventListener("click", verify);
byId("language").addEventListener("click", () => {
  chinese = !chinese;
  speak();
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  byId("drop").classList.add("over");
});
document.addEventListener("drop", dropped);
speak();
