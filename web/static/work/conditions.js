// Read and judge the small conditions by which one answer asks for another, exactly as the hub does (protocol/procedures/conditions.py).
// Nothing is run but this table; length and depth are bounded; a test of what was not answered is false; numbers compare exactly.

/** @typedef {{name: string, op: string, literals: string[]}} Test */
/** @typedef {{how: "and" | "or" | "not", parts: Condition[]}} Joined */
/** @typedef {Test | Joined} Condition */

export const MAX_LENGTH = 1000;
const MAX_DEPTH = 20;
const TOKEN = /\s*(?:('[^']*'|"[^"]*")|(-?\d+(?:\.\d+)?)|(<=|>=|!=|=|<|>)|([(),])|([a-z][a-z0-9_-]*))/y;
const KINDS = ["text", "number", "op", "mark", "name"];
const NUMBER = /^-?\d{1,15}(\.\d{1,6})?$/;
const WORDS = new Set(["and", "or", "not", "in", "selected"]);
const OPERATORS = new Set(["<", "<=", ">", ">=", "=", "!="]);
const SCALE = 6;

/** A condition that cannot be read. */
export class ConditionError extends Error {}

/** Read a condition; throw ConditionError. @param {string} text @returns {Condition} */
export function parse(text) {
  if ([...text].length > MAX_LENGTH) throw new ConditionError("too long");
  const reader = new Reader(text);
  const found = reader.either(0);
  if (reader.word) throw reader.fail();
  return found;
}

/** @type {Map<string, Condition>} */
const read = new Map();

/** Tell whether a condition, as text, holds of answers by item. @param {string} text @param {ReadonlyMap<string, unknown>} answers */
export function holdsText(text, answers) {
  let condition = read.get(text);
  if (!condition) {
    condition = parse(text);
    read.set(text, condition);
  }
  return holds(condition, answers);
}

/** Tell whether a condition holds of answers by item. @param {Condition} condition @param {ReadonlyMap<string, unknown>} answers @returns {boolean} */
export function holds(condition, answers) {
  if ("op" in condition) return answers.has(condition.name) && compares(answers.get(condition.name), condition);
  if (condition.how === "not") return !condition.parts.every((part) => holds(part, answers));
  return condition.how === "and" ? condition.parts.every((part) => holds(part, answers)) : condition.parts.some((part) => holds(part, answers));
}

/** @param {unknown} answer @param {Test} test */
function compares(answer, test) {
  if (["=", "in", "!="].includes(test.op)) {
    const chosen = Array.isArray(answer) ? answer : [answer];
    const met = chosen.some((one) => test.literals.some((literal) => isSame(one, literal)));
    return test.op === "!=" ? !met : met;
  }
  const left = scaled(answer);
  const right = scaled(test.literals[0]);
  if (left === null || right === null) return false;
  if (test.op === "<") return left < right;
  if (test.op === "<=") return left <= right;
  return test.op === ">" ? left > right : left >= right;
}

/** @param {unknown} answer @param {string} literal */
function isSame(answer, literal) {
  if (answer === literal) return true;
  const left = scaled(answer);
  return left !== null && left === scaled(literal);
}

/** A decimal number as a whole number of millionths. @param {unknown} value @returns {bigint | null} */
export function scaled(value) {
  if (typeof value !== "string" || !NUMBER.test(value)) return null;
  const [whole = "", digits = ""] = value.replace("-", "").split(".");
  const found = BigInt(whole + digits.padEnd(SCALE, "0"));
  return value.startsWith("-") ? -found : found;
}

class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.kind = "";
    this.word = "";
    this.step();
  }

  fail() {
    return new ConditionError(`at ${this.at - this.word.length + 1}`);
  }

  step() {
    const before = this.word;
    TOKEN.lastIndex = this.at;
    const match = TOKEN.exec(this.text);
    this.kind = this.word = "";
    if (!match) {
      if (this.text.slice(this.at).trim()) throw this.fail();
      return before;
    }
    this.at = TOKEN.lastIndex;
    const group = match.findIndex((part, at) => at > 0 && part !== undefined);
    this.kind = KINDS[group - 1] ?? "";
    this.word = match[group] ?? "";
    return before;
  }

  /** @param {string} token */
  sees(token) {
    return this.word === token;
  }

  /** @param {string} token */
  take(token) {
    if (this.word !== token) throw this.fail();
    this.step();
  }

  /** @param {number} depth @returns {Condition} */
  either(depth) {
    return this.joined("or", depth);
  }

  /** @param {"and" | "or"} how @param {number} depth @returns {Condition} */
  joined(how, depth) {
    if (depth > MAX_DEPTH) throw this.fail();
    const next = () => (how === "and" ? this.one(depth) : this.joined("and", depth));
    const parts = [next()];
    while (this.kind === "name" && this.word === how) {
      this.step();
      parts.push(next());
    }
    return parts.length === 1 && parts[0] ? parts[0] : { how, parts };
  }

  /** @param {number} depth @returns {Condition} */
  one(depth) {
    if (depth > MAX_DEPTH) throw this.fail();
    if (this.kind === "name" && this.word === "not") {
      this.step();
      return { how: "not", parts: [this.one(depth + 1)] };
    }
    if (this.word === "(") {
      this.step();
      const found = this.either(depth + 1);
      this.take(")");
      return found;
    }
    return this.test();
  }

  literal() {
    if (this.kind !== "text" && this.kind !== "number") throw this.fail();
    const token = this.step();
    return token.startsWith("'") || token.startsWith('"') ? token.slice(1, -1) : token;
  }

  /** @returns {Test} */
  test() {
    if (this.kind !== "name" || WORDS.has(this.word)) throw this.fail();
    const name = this.step();
    if (this.sees("in")) {
      this.step();
      this.take("(");
      const literals = [this.literal()];
      while (this.sees(",")) {
        this.step();
        literals.push(this.literal());
      }
      this.take(")");
      return { name, op: "in", literals };
    }
    if (!OPERATORS.has(this.word)) throw this.fail();
    const op = this.step();
    return { name, op, literals: [this.literal()] };
  }
}
