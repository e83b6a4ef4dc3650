import { type CallKey, isSha256, type Sha256 } from "../domain/ids.ts";
import { setOwn } from "./encode-value.ts";
import { type Path, UndecodableValue } from "./errors.ts";
import { Decimal, Duration, depthMax, FileValue, isBigintText, isDecimalText, isEscapedKey } from "./types.ts";

export interface DecodeOptions {
  /** The value that a ref stands for. Without it a ref is refused. */
  readonly ref?: (key: CallKey) => unknown;
  /** Makes of a file what the receiver works with. Default: the FileValue itself. */
  readonly file?: (file: FileValue) => unknown;
}

/**
 * The value that `text` encodes. `uuid` becomes a string; keys such as `__proto__` are ordinary properties without
 * effect. Throws UndecodableValue, which names the path inside the value.
 */
export function decodeValue(text: string, options: DecodeOptions = {}): unknown {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new UndecodableValue(null, "it is not JSON", error);
  }
  return needsWalk(text) ? fromWire(parsed, { parent: null, depth: 0, options }) : parsed;
}

/** A tag or an escaped key may stand there, perhaps spelt with `\u00…`, or half a surrogate pair (`\ud…`). */
const needsWalk = (text: string): boolean => text.includes("$salt") || /\\u(00|[dD])/.test(text);

interface Place {
  readonly parent: Path;
  readonly depth: number;
  readonly options: DecodeOptions;
}

const inside = (place: Place, step: string | number): Place => ({
  parent: { parent: place.parent, step },
  depth: place.depth + 1,
  options: place.options,
});

function fromWire(wire: unknown, place: Place): unknown {
  if (typeof wire === "string") {
    if (wire.isWellFormed()) return wire;
    throw new UndecodableValue(place.parent, "the string holds half of a surrogate pair");
  }
  if (typeof wire !== "object" || wire === null) return wire;
  if (place.depth >= depthMax) {
    throw new UndecodableValue(place.parent, `it is nested more than ${depthMax} levels deep`);
  }
  if (Array.isArray(wire)) return wire.map((member, index) => fromWire(member, inside(place, index)));
  const record = wire as Record<string, unknown>;
  if (Object.hasOwn(record, "$salt")) return taggedFromWire(record, place);
  const value: Record<string, unknown> = {};
  for (const key of Object.keys(record)) {
    const at = inside(place, key);
    if (!key.isWellFormed()) throw new UndecodableValue(at.parent, "the key holds half of a surrogate pair");
    setOwn(value, isEscapedKey(key) ? key.slice(1) : key, fromWire(record[key], at));
  }
  return value;
}

function taggedFromWire(record: Record<string, unknown>, place: Place): unknown {
  const { $salt: tag, v } = record;
  if (Object.keys(record).length !== 2 || !Object.hasOwn(record, "v")) {
    throw new UndecodableValue(place.parent, 'a tagged form has exactly "$salt" and "v"');
  }
  const read = typeof tag === "string" && Object.hasOwn(readers, tag) ? readers[tag] : undefined;
  if (read === undefined) throw new UndecodableValue(place.parent, `the tag ${JSON.stringify(tag)} is not known`);
  return read(v, place);
}

type Reader = (v: unknown, place: Place) => unknown;

const bad = (place: Place, what: string): UndecodableValue => new UndecodableValue(place.parent, what);

const text =
  (what: string, accepts: (text: string) => boolean, make: (text: string) => unknown): Reader =>
  (v, place) => {
    if (typeof v === "string" && accepts(v)) return make(v);
    throw bad(place, `it is not ${what}`);
  };

const datePattern = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const durationPattern = /^(-?)PT(\d{1,15}(?:\.\d{1,9})?)S$/;

const readers: Readonly<Record<string, Reader>> = {
  date: text(
    "an RFC 3339 date and time",
    (v) => datePattern.test(v) && !Number.isNaN(Date.parse(v)),
    (v) => new Date(v),
  ),
  bytes: text(
    "base64",
    (v) => v.length % 4 === 0 && base64Pattern.test(v),
    (v) => new Uint8Array(Buffer.from(v, "base64")),
  ),
  bigint: text("a whole number of at most 4,300 digits", isBigintText, BigInt),
  decimal: text("a decimal number of at most 4,300 characters", isDecimalText, (v) => new Decimal(v)),
  uuid: text(
    "a UUID",
    (v) => uuidPattern.test(v),
    (v) => v.toLowerCase(),
  ),
  duration: text(
    'a duration such as "PT1.5S"',
    (v) => durationPattern.test(v),
    (v) => new Duration(Number(v.replace(durationPattern, "$1$2")) * 1000),
  ),
  map: readMap,
  set: (v, place) => new Set(list(v, place).map((member, index) => fromWire(member, inside(place, `<${index}>`)))),
  ref: readRef,
  file: readFile,
  error: readError,
};

function list(v: unknown, place: Place): unknown[] {
  if (Array.isArray(v)) return v;
  throw bad(place, "it is not a list");
}

function readMap(v: unknown, place: Place): unknown {
  const map = new Map<unknown, unknown>();
  for (const [index, pair] of list(v, place).entries()) {
    if (!Array.isArray(pair) || pair.length !== 2) throw bad(inside(place, `<${index}>`), "it is not a pair");
    map.set(fromWire(pair[0], inside(place, `<key ${index}>`)), fromWire(pair[1], inside(place, `<${index}>`)));
  }
  return map;
}

function readRef(v: unknown, place: Place): unknown {
  if (typeof v !== "string") throw bad(place, "it is not a call key");
  if (place.options.ref === undefined) throw bad(place, "a ref has no meaning here");
  return place.options.ref(v as CallKey);
}

function readFile(v: unknown, place: Place): unknown {
  const { sha256, bytes, name = null, mediaType = null } = (v ?? {}) as Record<string, unknown>;
  const isText = (part: unknown): part is string | null => part === null || typeof part === "string";
  if (typeof sha256 !== "string" || !isSha256(sha256) || !Number.isSafeInteger(bytes) || (bytes as number) < 0) {
    throw bad(place, "it is not a file: a digest and a size");
  }
  if (!isText(name) || !isText(mediaType)) throw bad(place, "the file's name or media type is not a string");
  const file = new FileValue({ sha256: sha256 as Sha256, bytes: bytes as number, name, mediaType });
  return place.options.file === undefined ? file : place.options.file(file);
}

function readError(v: unknown, place: Place): unknown {
  const { type, message, cause } = (v ?? {}) as Record<string, unknown>;
  if (typeof type !== "string" || typeof message !== "string")
    throw bad(place, "it is not an error: a type and a message");
  const options = cause === undefined ? undefined : { cause: fromWire(cause, inside(place, "cause")) };
  const error = new Error(message, options);
  Object.defineProperty(error, "name", { value: type, enumerable: false, configurable: true, writable: true });
  return error;
}
