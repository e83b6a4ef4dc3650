import fc from "fast-check";
import type { SchemaSource } from "#cli/generate/read-schemas.ts";
import { serverCode } from "#cli/generate/server-code.ts";

/** Words that mean something where they may come to stand. */
const words = fc.constantFrom(
  ...[
    "a",
    "from",
    "class",
    "$salt",
    "int",
    "list",
    "dict",
    "str",
    "float",
    "bool",
    "Literal",
    "Any",
    "TypedDict",
    "keys",
  ],
  ...[
    "items",
    "get",
    "__x",
    "_y",
    "__init__",
    "x-y",
    "9z",
    "é",
    "a b",
    "type",
    "self",
    "None",
    "True",
    "copy",
    "Value",
  ],
  ...["Record", "constructor", "__proto__", 'q"q', "new\nline", "*/", '"""', "\\", "\u2028", "😀", "l", "I", ""],
);
const text = fc.oneof(words, fc.string({ maxLength: 8 }));
const fixed = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.constantFrom(true, null),
);
const plain = fc.constantFrom<unknown>(
  ...["string", "integer", "number", "boolean", "null"].map((type) => ({ type })),
  ...[true, {}, { type: ["string", "null"] }, { not: {} }],
);
const ref = fc
  .tuple(fc.nat(9), fc.nat(4), fc.boolean())
  .map(([file, key, own]) => ({ $ref: `${own ? "" : `../m${file % 2}/f${file}.json`}#/$defs/d${key}` }));

interface Drawn {
  readonly schema: unknown;
}
const { schema } = fc.letrec<Drawn>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small", maxDepth: 4 },
    ...[plain, ref, fixed.map((value) => ({ const: value }))],
    fc.array(fixed, { minLength: 1, maxLength: 4 }).map((values) => ({ enum: values })),
    tie("schema").map((items) => ({ type: "array", items })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((prefixItems) => ({ prefixItems })),
    tie("schema").map((values) => ({ type: "object", additionalProperties: values })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    objectOf(tie("schema")),
  ),
}));

function objectOf(inner: fc.Arbitrary<unknown>): fc.Arbitrary<object> {
  const fields = fc.array(fc.tuple(text, inner, fc.boolean()), { minLength: 1, maxLength: 5 });
  return fc.tuple(fields, text, text).map(([drawn, description, title]) => ({
    ...{ type: "object", description, title },
    properties: Object.fromEntries(drawn.map(([name, one]) => [name, one])),
    required: [...new Set(drawn.flatMap(([name, , required]) => (required ? [name] : [])))],
  }));
}

/** Ten files in two folders, each of five definitions that refer to each other. The same seed gives the same. */
export function randomSchemas(seed: number): SchemaSource[] {
  const drawn = fc.sample(schema, { numRuns: 50, seed });
  const files = Array.from({ length: 10 }, (_, file) => {
    const definitions = drawn.slice(file * 5, file * 5 + 5).map((one, key) => [`d${key}`, one]);
    return { file: `m${file % 2}/f${file}.json`, $defs: Object.fromEntries(definitions) as Record<string, unknown> };
  });
  for (;;) {
    const sources = files.map(({ file, $defs }) => ({ file, schema: JSON.parse(JSON.stringify({ $defs })) }));
    const circle = whatIsItself(sources);
    if (circle === null) return sources;
    const found = files.find(({ file }) => file === circle.file);
    if (found !== undefined) found.$defs[circle.key] = { type: "string" };
  }
}

/** A definition that is refused since it refers to itself alone, which chance makes now and then. */
function whatIsItself(sources: readonly SchemaSource[]): { file: string; key: string } | null {
  try {
    serverCode(sources, "typescript");
    return null;
  } catch (error) {
    const match = /of (\S+)#\/\$defs\/(d\d): .* is itself/.exec((error as Error).message);
    if (match === null) throw error;
    return { file: match[1] ?? "", key: match[2] ?? "" };
  }
}
