// The page: take a draw bundle and a trust file, make the draw again, show each step. It never uses the network (its policy forbids it).

import { Fault } from "./bytes.js";
import { judgeDraw, parseDraw } from "./draw.js";
import { DRAW_WORDS } from "./drawwords.js";

const MOST_ROWS = 500;
const given = { bundle: null, trust: null };
let inChinese = /^zh/i.test(navigator.language), outcome = null, goOn = null;
const steps = [];

const place = (id) => document.getElementById(id);
const says = (key) => DRAW_WORDS[key]?.[inChinese ? 1 : 0] ?? key;

function element(tag, attributes = {}, ...children) {
  const out = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) out.setAttribute(name, value);
  out.append(...children);
  return out;
}

function speakAgain() {
  document.documentElement.lang = inChinese ? "zh-CN" : "en";
  document.title = says("title");
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = says(one.dataset.word);
  place("language").textContent = says("language");
  place("steps").replaceChildren(...steps.map(stepLine));
  if (outcome) showOutcome();
}

function stepLine([name, facts]) {
  const told = Object.entries(facts).map(([key, value]) => `${key}: ${Array.isArray(value) ? value.join(", ") : value}`).join("; ");
  return element("li", { "data-step": name }, element("strong", {}, says(name)), " ", element("code", {}, told));
}

async function choose(id, name) {
  const file = place(id).files[0];
  [given[name], place("run").disabled] = [null, true];
  given[name] = file ? new Uint8Array(await file.arrayBuffer()) : null;
  place("run").disabled = !(given.bundle && given.trust);
}

// Show a step, and wait for the reader where they asked for it.
async function stepped(name, facts) {
  steps.push([name, facts]);
  place("steps").append(stepLine([name, facts]));
  if (!place("paced").checked) return new Promise((done) => setTimeout(done));
  place("next").hidden = false;
  place("next").focus();
  await new Promise((done) => (goOn = done));
  place("next").hidden = true;
  return undefined;
}

async function runDraw() {
  document.body.dataset.state = "working";
  [outcome, steps.length, place("run").disabled, place("result").hidden] = [null, 0, true, true];
  place("steps").replaceChildren();
  place("progress").hidden = false;
  let read = false;
  try {
    parseDraw(given.bundle);
    read = true;
    outcome = { found: await judgeDraw(given.bundle, given.trust, stepped) };
  } catch (error) {
    const text = String(error.message ?? error);
    outcome = { fault: error instanceof Fault ? error : new Fault("draw bundle", text, text), read };
  }
  place("run").disabled = false;
  showOutcome();
}

function showOutcome() {
  const { found, fault, read } = outcome, result = place("result");
  const state = found ? "valid" : read ? "invalid" : "unreadable";
  result.hidden = false;
  result.replaceChildren(element("p", { class: found ? "verdict" : "verdict bad", role: "status" }, `${says(state)} ${fault ? (inChinese ? fault.zh : fault.en) : ""}`));
  if (fault) result.append(element("p", {}, element("code", {}, fault.where)));
  else result.append(...sections(found));
  const plain = found ? { valid: true, number: found.number, seed: found.seed, answered: found.answered, missing: found.missing, fallen_back: found.fallenBack,
    selected: Object.fromEntries(found.final.map((one) => [one.id, one.members])), totals: found.drawn.map((one) => Number(one.parts.total)) }
    : { valid: false, where: fault.where, what: fault.en };
  result.append(element("pre", { id: "json", hidden: "" }, JSON.stringify(plain)));
  document.body.dataset.state = state;
}

function sections(found) {
  const out = [];
  if (found.fallenBack) out.push(element("p", { class: "note" }, `${says("fallen")} (${says("missing")}: ${found.missing.join(", ")})`));
  if (found.acts.length) {
    const lines = found.acts.map((one) => element("li", { class: "bad" }, `${one.position} ${one.act}: ${JSON.stringify(one.said)}`));
    out.push(element("h2", {}, says("acts")), element("ul", {}, ...lines));
  }
  out.push(element("h2", {}, `${says("chosen")}: ${found.final.length}`));
  out.push(table(["declaration", "lead", "assistant"], found.final.slice(0, MOST_ROWS).map((one) => [one.id, one.members[0] ?? "", one.members[1] ?? ""]), found.final.length));
  out.push(element("h2", {}, says("all")));
  const rows = found.drawn.slice(0, MOST_ROWS).map(({ entry, parts, u, why }) => [
    entry.id, percent(parts.national), percent(parts.risk), percent(parts.credit), percent(parts.floor), percent(parts.total),
    u === null ? "" : percent((u * 1000000000n) >> 256n), says(`why${why || "_"}`),
  ]);
  out.push(table(["declaration", "national", "risk", "credit", "floor", "total", "number", "why"], rows, found.drawn.length));
  out.push(element("h2", {}, says("uncheckedtitle")), element("ul", {}, ...found.unchecked.map((one) => element("li", {}, says(`unchecked${one}`)))));
  return out;
}

const percent = (parts) => `${(Number(parts) / 1e7).toFixed(4)} %`;

function table(heads, rows, total) {
  const head = element("tr", {}, ...heads.map((one) => element("th", { scope: "col" }, says(one))));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
  const out = element("div", { class: "scroll", tabindex: "0" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
  if (rows.length < total) out.append(element("p", {}, `${rows.length} ${says("shown")} ${total}`));
  return out;
}

place("bundle").addEventListener("change", () => choose("bundle", "bundle"));
place("trust").addEventListener("change", () => choose("trust", "trust"));
place("run").addEventListener("click", runDraw);
place("next").addEventListener("click", () => goOn?.());
place("language").addEventListener("click", () => {
  inChinese = !inChinese;
  speakAgain();
});
speakAgain();
