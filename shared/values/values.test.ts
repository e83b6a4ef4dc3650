import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { valueCases } from "../../sdk/conformance/make-table.ts";
import { recordResults } from "../../sdk/conformance/results.ts";
import type { CallKey, Sha256 } from "../domain/ids.ts";
import { decodeValue } from "./decode-value.ts";
import { encodeValue } from "./encode-value.ts";
import { UndecodableValue, UnencodableValue } from "./errors.ts";
import { Decimal, Duration, FileValue, refMark } from "./types.ts";

/** What sdk/conformance/values.json says of a value. */
type Described = null | boolean | { readonly [kind: string]: unknown };
interface Vectors {
  values: { name: string; value: Described; text: string; alsoDecodes?: string[] }[];
  decodes: { name: string; value: Described; text: string }[];
  refused: { name: string; text: string; path: string }[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../sdk/conformance/values.json", import.meta.url), "utf8"),
) as Vectors;

class Ref {
  readonly [refMark]: CallKey;
  constructor(key: string) {
    this[refMark] = key as CallKey;
  }
}
const ref = (key: string) => new Ref(key);
const pairs = (v: unknown) => v as [Described, Described][];

const builders: Record<string, (v: never) => unknown> = {
  string: (v: string) => v,
  number: (v: string) => Number(v),
  list: (v: Described[]) => v.map(build),
  object: (v: [string, Described][]) => {
    const made = {};
    for (const [key, value] of v) {
      Object.defineProperty(made, key, { value: build(value), enumerable: true, writable: true, configurable: true });
    }
    return made;
  },
  date: (v: string) => new Date(v),
  bytes: (v: string) => new Uint8Array(Buffer.from(v, "hex")),
  bigint: (v: string) => BigInt(v),
  decimal: (v: string) => new Decimal(v),
  map: (v: unknown) => new Map(pairs(v).map(([key, value]) => [build(key), build(value)])),
  set: (v: Described[]) => new Set(v.map(build)),
  uuid: (v: string) => v,
  durationMs: (v: string) => new Duration(Number(v)),
  file: (v: { sha256: Sha256; bytes: number }) => new FileValue(v),
  ref: (v: string) => ref(v),
  error: (v: { type: string; message: string; cause?: Described }) => {
    const error = new Error(v.message, v.cause === undefined ? undefined : { cause: build(v.cause) });
    Object.defineProperty(error, "name", { value: v.type, enumerable: false });
    return error;
  },
};

function build(described: Described): unknown {
  if (described === null || typeof described === "boolean") return described;
  const [kind = "", value] = Object.entries(described)[0] ?? [];
  return builders[kind]?.(value as never);
}

describe("golden vectors", () => {
  const passed: string[] = [];

  test.each(vectors.values)("encodes and decodes $name", ({ name, value, text, alsoDecodes = [] }) => {
    expect(encodeValue(build(value))).toBe(text);
    for (const one of [text, ...alsoDecodes]) expect(decodeValue(one, { ref })).toEqual(build(value));
    passed.push(`values: ${name}`);
  });

  test.each(vectors.decodes)("decodes $name", ({ name, value, text }) => {
    expect(decodeValue(text)).toEqual(build(value));
    passed.push(`decodes: ${name}`);
  });

  test.each(vectors.refused)("refuses $name", ({ name, text, path }) => {
    expect(() => decodeValue(text, { ref })).toThrow(expect.objectContaining({ name: "UndecodableValue", path }));
    passed.push(`refused: ${name}`);
  });

  test("the table of what each SDK has is made of these results", ({ skip }) => {
    skip(passed.length < valueCases().length, "only some of the vectors were read");
    expect(recordResults("typescript", "values", passed)).toEqual(passed);
  });
});

describe("encodeValue", () => {
  class Person {
    name = "x";
  }
  const cycle: { list: unknown[] } = { list: [] };
  cycle.list.push({ back: cycle });
  let deep: unknown = 1;
  for (let level = 0; level < 600; level++) deep = { deep };

  test.each<[string, unknown, string]>([
    ["a function", { a: [{ f: () => 1 }] }, "$.a[0].f"],
    ["a symbol", [Symbol("s")], "$[0]"],
    ["undefined in an array", { list: [1, undefined] }, "$.list[1]"],
    ["a hole in an array", { list: new Array(1) }, "$.list[0]"],
    ["NaN", { "odd key": Number.NaN }, '$["odd key"]'],
    ["Infinity", Number.NEGATIVE_INFINITY, "$"],
    ["half a surrogate pair", ["\ud800"], "$[0]"],
    ["half a surrogate pair as a key", { "\ud800": 1 }, '$["\\ud800"]'],
    ["an instance of a class", { who: new Person() }, "$.who"],
    ["a typed array that is not of bytes", { a: new Float64Array(1) }, "$.a"],
    ["an invalid date", { at: new Date(Number.NaN) }, "$.at"],
    ["a date beyond the year 9999", { at: new Date(8e15) }, "$.at"],
    ["a bigint of 5,000 digits", 10n ** 5_000n, "$"],
    ["a cycle", cycle, "$.list[0].back"],
    ["a cycle through a map", new Map([["m", cycle]]), "$<0>.list[0].back"],
    ["a function in a map", new Map([[{ k: () => 1 }, 1]]), "$<key 0>.k"],
    ["a function in a set", new Set([1, () => 1]), "$<1>"],
  ])("names the path of %s", (_what, value, path) => {
    expect(() => encodeValue(value)).toThrow(
      expect.objectContaining({ name: "UnencodableValue", path, code: "InvalidInput" }),
    );
  });

  test("refuses nesting beyond 500 levels with the path, whatever its depth", () => {
    expect(() => encodeValue(deep)).toThrow(UnencodableValue);
    let deeper = deep;
    for (let level = 0; level < 100_000; level++) deeper = [deeper];
    expect(() => encodeValue(deeper)).toThrow(/nested more than 500 levels/);
    expect(() => decodeValue(`${"[".repeat(5_000)}{"$salt":"set","v":[]}${"]".repeat(5_000)}`)).toThrow(
      UndecodableValue,
    );
  });

  test("leaves undefined properties out, takes undefined as a whole for null, and -0 for 0", () => {
    expect(encodeValue({ a: undefined, b: 1 })).toBe('{"b":1}');
    expect(encodeValue({ a: undefined, b: 1n })).toBe('{"b":{"$salt":"bigint","v":"1"}}');
    expect(encodeValue(undefined)).toBe("null");
    expect(encodeValue([-0])).toBe("[0]");
  });

  test("reports each ref and each file of the value", () => {
    const keys: string[] = [];
    const files: FileValue[] = [];
    const file = new FileValue({ sha256: "b".repeat(64) as Sha256, bytes: 3 });
    const value = { a: ref("x#1"), list: [ref("y#1"), ref("x#1")], file };
    encodeValue(value, { onRef: (key) => keys.push(key), onFile: (one) => files.push(one) });
    expect(keys).toEqual(["x#1", "y#1", "x#1"]);
    expect(files).toEqual([file]);
  });

  test("encodes the same object twice where it stands twice", () => {
    const shared = { n: 1n };
    expect(decodeValue(encodeValue([shared, shared]))).toEqual([{ n: 1n }, { n: 1n }]);
  });
});

describe("decodeValue", () => {
  test("A60 keys such as __proto__ are inert properties and Object.prototype is unchanged", () => {
    const before = Object.getOwnPropertyNames(Object.prototype).sort();
    const text =
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"x":{"$salt":"bigint","v":"1"}}';
    const value = decodeValue(text) as Record<string, unknown>;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.hasOwn(value, "__proto__")).toBe(true);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(before);
    expect(encodeValue(value)).toBe(text);
  });

  test("refuses a ref where none can be, and hands files to the receiver", () => {
    expect(() => decodeValue('[{"$salt":"ref","v":"a#1"}]')).toThrow(expect.objectContaining({ path: "$[0]" }));
    const text = encodeValue(new FileValue({ sha256: "c".repeat(64) as Sha256, bytes: 1, name: "n" }));
    expect(decodeValue(text, { file: (file) => file.name })).toBe("n");
  });
});

describe("properties", () => {
  const encodable = fc.letrec((again) => ({
    value: fc.oneof(
      { maxDepth: 4, depthSize: "small" },
      fc.constantFrom(null, true, false),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => (Object.is(n, -0) ? 0 : n)),
      fc.string({ unit: "grapheme" }),
      fc.date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true }),
      fc.bigInt(),
      fc.uint8Array(),
      fc.array(again("value")),
      fc.dictionary(fc.oneof(fc.string(), fc.constantFrom("$salt", "$$salt", "__proto__", "v")), again("value")),
      fc.array(fc.tuple(fc.string(), again("value"))).map((list) => new Map(list)),
      fc.uniqueArray(fc.integer()).map((list) => new Set(list)),
    ),
  })).value;

  test("what is encoded decodes to the same value, and encodes to the same text again", () => {
    fc.assert(
      fc.property(encodable, (value) => {
        const text = encodeValue(value);
        const back = decodeValue(text);
        expect(encodeValue(back)).toBe(text);
        expect(back).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  test("any JSON text, as it is or broken, decodes or is refused by its name", () => {
    fc.assert(
      fc.property(fc.json(), fc.string(), fc.nat(), (json, noise, at) => {
        const text = `${json.slice(0, at % (json.length + 1))}${noise}${json.slice(at % (json.length + 1))}`;
        for (const one of [json, text]) {
          try {
            decodeValue(one);
          } catch (error) {
            expect(error).toBeInstanceOf(UndecodableValue);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
