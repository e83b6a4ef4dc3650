import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SaltError } from "#shared/domain/errors.ts";
import { parseJsonText } from "./json-text.ts";

const parse = (text: string) => parseJsonText(Buffer.from(text));

describe("parseJsonText", () => {
  it("reads what JSON.parse reads, and hands out the members as they were sent", () => {
    const { value, members } = parse(' { "a" : [1, {"b": "}\\""}] , "n":1.50e2,"\\u0063": null } ');
    expect(value).toEqual({ a: [1, { b: '}"' }], n: 150, c: null });
    expect([...members]).toEqual([
      ["a", '[1, {"b": "}\\""}]'],
      ["n", "1.50e2"],
      ["c", "null"],
    ]);
    expect(parse("[]").members.size).toBe(0);
  });

  it("A54 refuses malformed, deeply nested, ambiguous and unrepresentable JSON with a typed error", () => {
    const refused = [
      "",
      "{",
      "nul",
      "{'a':1}",
      '{"a":1}x',
      "NaN",
      "[1,]",
      "[".repeat(300) + "]".repeat(300),
      "[".repeat(100_000) + "]".repeat(100_000),
      `${'{"a":'.repeat(5_000)}1${"}".repeat(5_000)}`,
      '{"a":1,"a":2}',
      '{"x":{"a":1,"\\u0061":2}}',
      '["\\ud800"]',
      '{"\\udc00":1}',
      '["\\udc00\\ud800"]',
      "1e999",
      '{"a":[-1e400]}',
      '{"__proto__":{"x":1}}',
      '[{"\\u005f_proto__":1}]',
    ];
    for (const text of refused) {
      expect(() => parse(text), text.slice(0, 40)).toThrowError(SaltError);
      expect(() => parse(text), text.slice(0, 40)).toThrowError(expect.objectContaining({ code: "BadRequest" }));
    }
    expect(() => parseJsonText(Buffer.from([0x22, 0xff, 0x22]))).toThrowError(/not UTF-8/);
    expect(() => parseJsonText(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toThrowError(/not UTF-8/);
  });

  it("accepts what is unusual and well-formed", () => {
    for (const text of [
      '"\\ud83d\\ude00"',
      "[".repeat(200) + "]".repeat(200),
      '{"":0}',
      '{"constructor":{"prototype":1}}',
    ]) {
      expect(parse(text).value).toEqual(JSON.parse(text));
    }
  });

  it("agrees with JSON.parse on any value (fuzzed)", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.constantFrom(0, 1, "\t"), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        if (text.includes("__proto__") || /\\ud[89a-f]/i.test(text)) return;
        const { value: read, members } = parse(text);
        expect(read).toEqual(JSON.parse(text));
        for (const [name, member] of members) {
          expect(JSON.parse(member)).toEqual((read as Record<string, unknown>)[name]);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("A54 never throws anything but a typed error, whatever the bytes (fuzzed)", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: fc.constantFrom(...'{}[]",:\\u0d8e1- tn') }).map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(bytes, (given) => {
        try {
          parseJsonText(given);
        } catch (error) {
          expect(error).toBeInstanceOf(SaltError);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
