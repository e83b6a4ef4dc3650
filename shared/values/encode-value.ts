import type { CallKey } from "../domain/ids.ts";
import { type Path, UnencodableValue } from "./errors.ts";
import {
  Decimal,
  Duration,
  depthMax,
  FileValue,
  isBigintText,
  isEscapedKey,
  isRef,
  type RefLike,
  refMark,
} from "./types.ts";

export interface EncodeOptions {
  /** Called for each ref in the value, also for repeated ones. May throw when the ref has no meaning here. */
  readonly onRef?: (key: CallKey, ref: RefLike) => void;
  /** Called for each file in the value. */
  readonly onFile?: (file: FileValue) => void;
}

/**
 * The encoding of a value: JSON, with `{"$salt":"<tag>","v":…}` for what JSON lacks.
 *
 * - `undefined` is `null` as a whole value, left out as a property, and refused in an array, where it would shift meaning.
 * - Numbers are finite; `-0` is `0`. NaN and the infinities are refused, as are lone surrogates in strings and keys.
 * - Date (years 1–9999), bigint, Uint8Array, Map, Set, Decimal, Duration, FileValue, Error and refs have tags.
 * - Functions, symbols, cycles, instances of other classes and nesting beyond 500 levels are refused.
 *
 * Throws UnencodableValue, which names the path inside the value.
 */
export function encodeValue(value: unknown, options: EncodeOptions = {}): string {
  if (value === undefined) return "null";
  if (isPlain(value, 0)) return JSON.stringify(value);
  return JSON.stringify(toWire(value, null, { options, above: new Set() }));
}

const isPlainPrototype = (prototype: unknown): boolean =>
  prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null;

/** Whether JSON.stringify alone is the encoding. One cheap pass, so that most values cost little more than JSON. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
      return value.isWellFormed();
    case "number":
      return Number.isFinite(value);
    case "boolean":
      return true;
    case "object":
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth >= depthMax) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) if (!isPlain(value[index], depth + 1)) return false;
    return true;
  }
  if (!isPlainPrototype(Object.getPrototypeOf(value))) return false;
  const record = value as Record<string, unknown>;
  for (const key of Object.keys(record)) {
    if (!key.isWellFormed() || isEscapedKey(key)) return false;
    const inner = record[key];
    if (inner !== undefined && !isPlain(inner, depth + 1)) return false;
  }
  return true;
}

interface Walk {
  readonly options: EncodeOptions;
  /** The objects that enclose the present one: meeting one again is a cycle. */
  readonly above: Set<object>;
}

const tagged = (tag: string, v: unknown): object => ({ $salt: tag, v });

function toWire(value: unknown, path: Path, walk: Walk): unknown {
  switch (typeof value) {
    case "string":
      return wellFormed(value, path);
    case "number":
      if (Number.isFinite(value)) return value;
      throw new UnencodableValue(path, `${value} has no encoding`, "Use null or a string for it.");
    case "boolean":
      return value;
    case "bigint":
      return tagged("bigint", bigintText(value, path));
    case "object":
      return value === null ? null : objectToWire(value, path, walk);
    case "undefined":
      throw new UnencodableValue(path, "undefined has no encoding in an array, map or set", "Use null for it.");
    default:
      throw new UnencodableValue(
        path,
        `a ${typeof value} has no encoding`,
        "Leave it out, or pass what it stands for.",
      );
  }
}

function wellFormed(text: string, path: Path): string {
  if (text.isWellFormed()) return text;
  throw new UnencodableValue(path, "the string holds half of a surrogate pair", "Call toWellFormed() on it.");
}

function bigintText(value: bigint, path: Path): string {
  const text = value.toString();
  if (isBigintText(text)) return text;
  throw new UnencodableValue(path, "the bigint has more than 4,300 digits", "Pass it as bytes or a string.");
}

function objectToWire(value: object, path: Path, walk: Walk): unknown {
  if (isRef(value)) {
    walk.options.onRef?.(value[refMark], value);
    return tagged("ref", value[refMark]);
  }
  if (value instanceof Date) return tagged("date", dateText(value, path));
  if (value instanceof Uint8Array) return tagged("bytes", bytesText(value));
  if (value instanceof Decimal) return tagged("decimal", value.text);
  if (value instanceof Duration) return tagged("duration", durationText(value));
  if (value instanceof FileValue) {
    walk.options.onFile?.(value);
    return tagged("file", fileToWire(value));
  }
  if (walk.above.has(value)) throw new UnencodableValue(path, "it contains itself", "Break the cycle.");
  if (walk.above.size >= depthMax) {
    throw new UnencodableValue(path, `it is nested more than ${depthMax} levels deep`, "Pass it flatter, or as text.");
  }
  walk.above.add(value);
  const wire = containerToWire(value, path, walk);
  walk.above.delete(value);
  return wire;
}

function containerToWire(value: object, path: Path, walk: Walk): unknown {
  if (Array.isArray(value)) {
    return Array.from(value, (member, index) => toWire(member, { parent: path, step: index }, walk));
  }
  if (value instanceof Map) {
    const pairs = Array.from(value, ([key, member], index) => [
      toWire(key, { parent: path, step: `<key ${index}>` }, walk),
      toWire(member, { parent: path, step: `<${index}>` }, walk),
    ]);
    return tagged("map", pairs);
  }
  if (value instanceof Set) {
    return tagged(
      "set",
      Array.from(value, (member, index) => toWire(member, { parent: path, step: `<${index}>` }, walk)),
    );
  }
  if (value instanceof Error) return tagged("error", errorToWire(value, path, walk));
  if (!isPlainPrototype(Object.getPrototypeOf(value))) {
    const name = value.constructor?.name || "an unnamed class";
    throw new UnencodableValue(path, `it is an instance of ${name}`, "Pass a plain object with what is needed of it.");
  }
  return recordToWire(value as Record<string, unknown>, path, walk);
}

function recordToWire(record: Record<string, unknown>, path: Path, walk: Walk): object {
  const wire: Record<string, unknown> = {};
  for (const key of Object.keys(record)) {
    const inner = record[key];
    if (inner === undefined) continue;
    const step = { parent: path, step: key };
    setOwn(wire, isEscapedKey(key) ? `$${key}` : wellFormed(key, step), toWire(inner, step, walk));
  }
  return wire;
}

/** Sets a property of its own also when it is called `__proto__`. */
export function setOwn(record: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== "__proto__") record[key] = value;
  else Object.defineProperty(record, key, { value, writable: true, enumerable: true, configurable: true });
}

function dateText(date: Date, path: Path): string {
  const year = date.getUTCFullYear();
  if (year >= 1 && year <= 9999) return date.toISOString();
  throw new UnencodableValue(path, "the date is invalid or not in the years 1 to 9999", "Use null or a string for it.");
}

const bytesText = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");

function durationText({ ms }: Duration): string {
  const microseconds = Math.round(Math.abs(ms) * 1000);
  const whole = Math.floor(microseconds / 1_000_000);
  const fraction = String(microseconds % 1_000_000)
    .padStart(6, "0")
    .replace(/0+$/, "");
  return `${ms < 0 && microseconds > 0 ? "-" : ""}PT${whole}${fraction === "" ? "" : `.${fraction}`}S`;
}

const fileToWire = (file: FileValue): object => ({
  sha256: file.sha256,
  bytes: file.bytes,
  ...(file.name === null ? {} : { name: file.name }),
  ...(file.mediaType === null ? {} : { mediaType: file.mediaType }),
});

function errorToWire(error: Error, path: Path, walk: Walk): object {
  const type = error.name === "Error" ? error.constructor.name : error.name;
  return {
    type,
    message: error.message.toWellFormed(),
    ...(error.cause === undefined ? {} : { cause: toWire(error.cause, { parent: path, step: "cause" }, walk) }),
  };
}
