import { expect, it } from "vitest";
import { compileSchema, findIssues } from "./check-input.ts";

const twice = { type: "object", properties: { next: { $ref: "#/$defs/node" } }, required: ["nowhere"] };
const nested = (depth: number): object => (depth === 0 ? {} : { next: nested(depth - 1) });

it.each([
  ["a pattern", { pattern: "^(a+)+$" }, `${"a".repeat(60)}!`],
  ["a pattern of names", { patternProperties: { "^(a+)+$": true } }, { [`${"a".repeat(60)}!`]: 1 }],
  ["items of which no two are alike", { uniqueItems: true }, Array.from({ length: 50_000 }, (_, n) => ({ n }))],
  ["a reference to itself, twice", { $ref: "#/$defs/node", $defs: { node: { anyOf: [twice, twice] } } }, nested(40)],
  [
    "a long list",
    { items: { enum: Array.from({ length: 5_000 }, (_, n) => ({ n })) } },
    Array.from({ length: 50_000 }, () => ({ n: -1 })),
  ],
])("A71 %s cannot keep the coordinator busy", (_, schema, value) => {
  const startedMs = performance.now();
  const [issue] = findIssues(compileSchema(schema, "the input"), value);
  expect(issue?.message).toContain("could not be validated within 200 ms");
  expect(performance.now() - startedMs).toBeLessThan(5_000);
});
