import { SaltError } from "#shared/domain/errors.ts";

/**
 * JSON from outside, read strictly (RFC 8259 and the interoperable subset that I-JSON, RFC 7493, asks for): UTF-8, no
 * member twice, no lone surrogate, no number that is not finite, nesting within a bound. `__proto__` is refused as a
 * name, so that nothing behind this can mistake it.
 *
 * Numbers beyond 2^53 are not refused, since texts are passed on as they came: what is stored is the text.
 */
export interface JsonText {
  readonly value: unknown;
  /** The texts of the members of the outermost object, as they were sent. */
  readonly members: ReadonlyMap<string, string>;
  readonly text: string;
}

const nestingMax = 200;

export function parseJsonText(bytes: Uint8Array): JsonText {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SaltError("BadRequest", "Cannot read the JSON: it is not UTF-8.", { cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SaltError("BadRequest", `Cannot read the JSON: ${why(cause)}.`, { cause });
  }
  const members = new Scanner(text).scan();
  return { value, members, text };
}

const why = (error: unknown): string =>
  error instanceof RangeError ? "it is nested too deeply" : error instanceof Error ? error.message : "it is malformed";

const refuse = (reason: string): SaltError => new SaltError("BadRequest", `Cannot accept the JSON: ${reason}.`);

const quote = 0x22;
const backslash = 0x5c;

/** Goes once over text that `JSON.parse` has found well-formed, so it looks only for what that lets pass. */
class Scanner {
  readonly #text: string;
  readonly #members = new Map<string, string>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): ReadonlyMap<string, string> {
    this.#space();
    this.#value(1);
    return this.#members;
  }

  #value(depth: number): void {
    if (depth > nestingMax) throw refuse(`it is nested more than ${nestingMax} deep`);
    switch (this.#text[this.#at]) {
      case "{":
        this.#object(depth);
        break;
      case "[":
        this.#array(depth);
        break;
      case '"':
        this.#string();
        break;
      default:
        this.#literal();
    }
  }

  #object(depth: number): void {
    const names = new Set<string>();
    this.#at += 1;
    this.#space();
    while (this.#text[this.#at] !== "}") {
      const name = this.#string();
      if (names.has(name)) throw refuse(`an object has the member ${JSON.stringify(name.slice(0, 100))} twice`);
      if (name === "__proto__") throw refuse("a member is named '__proto__'");
      names.add(name);
      this.#space();
      this.#at += 1;
      this.#space();
      const from = this.#at;
      this.#value(depth + 1);
      if (depth === 1) this.#members.set(name, this.#text.slice(from, this.#at));
      this.#separator();
    }
    this.#at += 1;
  }

  #array(depth: number): void {
    this.#at += 1;
    this.#space();
    while (this.#text[this.#at] !== "]") {
      this.#value(depth + 1);
      this.#separator();
    }
    this.#at += 1;
  }

  #separator(): void {
    this.#space();
    if (this.#text[this.#at] !== ",") return;
    this.#at += 1;
    this.#space();
  }

  #string(): string {
    const from = this.#at;
    let escaped = false;
    for (this.#at += 1; this.#text.charCodeAt(this.#at) !== quote; this.#at += 1) {
      if (this.#text.charCodeAt(this.#at) === backslash) {
        escaped = true;
        this.#at += 1;
      }
    }
    this.#at += 1;
    const raw = this.#text.slice(from, this.#at);
    const content = escaped ? (JSON.parse(raw) as string) : raw.slice(1, -1);
    if (escaped && !content.isWellFormed()) throw refuse("a string holds a lone surrogate");
    return content;
  }

  #literal(): void {
    const from = this.#at;
    while (this.#at < this.#text.length && !/[\s,\]}]/.test(this.#text[this.#at] ?? "")) this.#at += 1;
    const word = this.#text.slice(from, this.#at);
    if (/^[-\d]/.test(word) && !Number.isFinite(Number(word))) {
      throw refuse(`the number ${word.slice(0, 40)} is out of range`);
    }
  }

  #space(): void {
    while (/[ \t\r\n]/.test(this.#text[this.#at] ?? "")) this.#at += 1;
  }
}
