import { describe, expect, test } from "vitest";
import { SaltError } from "#shared/domain/errors.ts";
import type { Language } from "./languages.ts";
import { serverCode } from "./server-code.ts";

type Files = Readonly<Record<string, unknown>>;

const make = (files: Files, language: Language) =>
  serverCode(
    Object.entries(files).map(([file, schema]) => ({ file, schema })),
    language,
  );
const code = (schema: unknown, language: Language): string =>
  make({ "a.json": schema }, language)[language === "python" ? "a.py" : "a.ts"] ?? "";

const object = (properties: object, ...required: string[]) => ({ type: "object", properties, required });

/** The types of one schema each, as `name: type` of an object's required fields. */
function fieldTypes(schemas: Files, language: Language): Record<string, string> {
  const text = code(object(schemas, ...Object.keys(schemas)), language);
  const lines = [...text.matchAll(/^ {2,4}(\w+): (.+?);?$/gm)];
  return Object.fromEntries(lines.map(([, name = "", type = ""]) => [name, type]));
}

describe("a schema's type, in both languages", () => {
  const cases: Readonly<Record<string, readonly [schema: unknown, typescript: string, python: string]>> = {
    text: [{ type: "string", format: "email", minLength: 1 }, "string", "str"],
    whole: [{ type: "integer" }, "number", "int"],
    number: [{ type: "number", minimum: 0 }, "number", "float"],
    flag: [{ type: "boolean" }, "boolean", "bool"],
    nothing: [{ type: "null" }, "null", "None"],
    anything: [true, "unknown", "Any"],
    never: [{ not: {} }, "never", "NoReturn"],
    several: [{ type: ["string", "null"] }, "string | null", "str | None"],
    fixed: [{ const: "a" }, '"a"', 'Literal["a"]'],
    choice: [{ enum: ["a", 1, true, null] }, '"a" | 1 | true | null', 'Literal["a", 1, True] | None'],
    halves: [{ enum: [0.5, 1] }, "0.5 | 1", "Literal[1] | float"],
    texts: [{ type: "array", items: { type: "string" } }, "string[]", "list[str]"],
    lists: [{ items: { enum: ["a", "b"] } }, 'Array<"a" | "b">', 'list[Literal["a", "b"]]'],
    pair: [{ prefixItems: [{ type: "string" }, { type: "integer" }] }, "[string, number]", "list[str | int]"],
    more: [
      { prefixItems: [{ type: "string" }], items: { type: "null" } },
      "[string, ...Array<null>]",
      "list[str | None]",
    ],
    map: [
      { type: "object", additionalProperties: { type: "integer" } },
      "{ [name: string]: number }",
      "dict[str, int]",
    ],
    keyed: [
      { type: "object", propertyNames: { enum: ["a", "b"] }, additionalProperties: true },
      '{ [name in "a" | "b"]?: unknown }',
      'dict[Literal["a", "b"], Any]',
    ],
    patterns: [
      { patternProperties: { "^x": { type: "string" } }, additionalProperties: false },
      "{ [name: string]: string }",
      "dict[str, str]",
    ],
    union: [
      { anyOf: [{ type: "string" }, { oneOf: [{ type: "null" }, { type: "string" }] }] },
      "string | null",
      "str | None",
    ],
  };
  const schemas = Object.fromEntries(Object.entries(cases).map(([name, [schema]]) => [name, schema]));

  test("TypeScript", () => {
    const expected = Object.entries(cases).map(([name, [, typescript]]) => [name, typescript]);
    expect(fieldTypes(schemas, "typescript")).toEqual(Object.fromEntries(expected));
  });

  test("Python", () => {
    const expected = Object.entries(cases).map(([name, [, , python]]) => [name, python]);
    expect(fieldTypes(schemas, "python")).toEqual(Object.fromEntries(expected));
  });
});

describe("objects", () => {
  test("in Python what may be left out is in a class of its own, and odd names in the form that takes any", () => {
    const text = code(
      { title: "thing", ...object({ $salt: { const: "x" }, from: { type: "string" } }, "$salt") },
      "python",
    );
    expect(text).toContain('_ThingOptionalKeys = TypedDict(\n    "_ThingOptionalKeys",\n    {\n        "from": "str",');
    expect(text).toContain(`        "$salt": 'Literal["x"]',`);
    expect(text).toContain("class Thing(_ThingKeys, _ThingOptionalKeys):");
  });

  test("within others they are named by title, by what tells them apart, or by their path", () => {
    const schema = object({
      plain: object({ n: true }, "n"),
      titled: { title: "own name", ...object({ n: true }, "n") },
      either: { oneOf: [object({ kind: { const: "cat" } }, "kind"), object({ bark: true }, "bark")] },
    });
    const names = [...code(schema, "typescript").matchAll(/interface (\w+)/g)].map(([, name]) => name);
    expect(names).toEqual(["APlain", "OwnName", "AEitherCat", "AEitherBark", "A"]);
  });

  test("in Python those of a union alone are final, so that `in` tells them apart, and those that others can extend are not", () => {
    const schema = {
      $defs: {
        Either: { anyOf: [object({ json: { type: "string" } }, "json"), { $ref: "#/$defs/Other" }] },
        Other: object({ path: { type: "string" } }, "path"),
      },
    };
    const text = code(schema, "python");
    expect(text).toContain("from typing import TypeAlias, TypedDict, final\n");
    expect(text).toContain("@final\nclass EitherJson(TypedDict):\n    json: str");
    expect(text.match(/@final/g)).toHaveLength(1);
  });

  test("joined by allOf they extend what they name and have the rest themselves", () => {
    const schema = {
      $defs: {
        Base: object({ id: { type: "string" } }, "id"),
        More: { allOf: [{ $ref: "#/$defs/Base" }, object({ n: { type: "integer" } }, "n")] },
      },
    };
    expect(code(schema, "typescript")).toContain("export interface More extends Base {\n  n: number;\n}");
    expect(code(schema, "python")).toContain("class More(Base):\n    n: int");
  });

  test("a type may hold itself", () => {
    const schema = {
      $defs: { Tree: { anyOf: [{ type: "string" }, { type: "array", items: { $ref: "#/$defs/Tree" } }] } },
    };
    expect(code(schema, "typescript")).toContain("export type Tree = string | Tree[];");
    expect(code(schema, "python")).toContain('Tree: TypeAlias = "str | list[Tree]"');
  });
});

describe("files", () => {
  const files = {
    "shop/order.json": object({
      article: { $ref: "../stock/item.schema.json#/$defs/Item" },
      Item: { $ref: "#/$defs/Item" },
    }),
    "stock/item.schema.json": { $defs: { Item: object({ id: { type: "string" } }, "id") } },
  };
  const both = { ...files, "shop/order.json": { ...files["shop/order.json"], $defs: { Item: { type: "integer" } } } };

  test("become modules of packages that mirror their folders", () => {
    expect(Object.keys(make(both, "typescript"))).toEqual(["shop/order.ts", "stock/item.ts"]);
    expect(Object.keys(make(both, "python")).sort()).toEqual(
      ["__init__.py", "shop/__init__.py", "shop/order.py", "stock/__init__.py", "stock/item.py"].sort(),
    );
  });

  test("import from each other what they name, under another name where theirs is taken", () => {
    expect(make(both, "typescript")["shop/order.ts"]).toContain(
      'import type { Item as StockItemItem } from "../stock/item.js";',
    );
    expect(make(both, "python")["shop/order.py"]).toContain("from ..stock.item import Item as StockItemItem");
  });

  test("that name each other do so in Python without a circle of imports", () => {
    const a = make(
      {
        "a.json": { $defs: { A: { $ref: "b.json#/$defs/B" } } },
        "b.json": { $defs: { B: object({ a: { $ref: "a.json#/$defs/A" } }) } },
      },
      "python",
    );
    expect(a["a.py"]).toContain('if TYPE_CHECKING:\n    from .b import B\n\nA: TypeAlias = "B"');
  });

  test("are found by their $id, and by a path within it", () => {
    const known = {
      "a.json": { $id: "https://example.org/x/a.json", $ref: "b.json" },
      "b.json": { $id: "https://example.org/x/b.json", type: "string" },
    };
    expect(make(known, "typescript")["a.ts"]).toContain("export type A = B;");
  });

  test("the same files give the same code, whatever is in their text", () => {
    const evil = {
      title: "evil",
      description: 'a */ b """ c \\ \u2028 d\r\ne',
      ...object({ 'x"y': { const: 'q"\n\u2028' } }),
    };
    for (const language of ["python", "typescript"] as const) expect(code(evil, language)).toBe(code(evil, language));
    expect(code(evil, "typescript")).toContain("a * / b");
    expect(code(evil, "python")).toContain('"""a */ b \\"\\"\\" c \\\\   d\n    e\n    """');
  });
});

describe("what is not supported is an error that names file and place", () => {
  const of = (files: Files): SaltError => {
    try {
      make(files, "typescript");
    } catch (error) {
      if (error instanceof SaltError) return error;
      throw error;
    }
    throw new Error("nothing was thrown");
  };

  test.each<[string, unknown, string, RegExp]>([
    ["a condition", object({ a: { if: {} } }), "a.json#/properties/a/if", /anyOf/],
    ["a misspelt keyword", { propertys: {} }, "a.json#/propertys", /Did you mean 'properties'/],
    ["a list of items", { items: [{}] }, "a.json#/items", /prefixItems/],
    ["an unknown type", object({ "a/b": { type: "text" } }), "a.json#/properties/a~1b/type", /type of JSON/],
    ["properties beside a union", { anyOf: [{}], properties: { a: {} } }, "a.json#/properties", /allOf/],
    ["a fixed object", { const: {} }, "a.json#/const", /properties/],
    ["a ref to nowhere", { $ref: "b.json" }, "a.json#/$ref", /path from here/],
    ["a ref to the network", { $ref: "https://example.org/a" }, "a.json#/$ref", /nothing is fetched/],
    [
      "a ref to what is no definition",
      object({ a: {}, b: { $ref: "#/properties/a" } }),
      "a.json#/properties/b/$ref",
      /\$defs/,
    ],
    ["joined values", { allOf: [{ type: "string" }, { type: "integer" }] }, "a.json#/allOf/0", /docs/],
    ["a property twice", { allOf: [object({ a: {} }), object({ a: {} })] }, "a.json#/allOf", /keep one/],
    [
      "a type that is itself",
      { $defs: { A: { $ref: "#/$defs/B" }, B: { anyOf: [{ $ref: "#/$defs/A" }] } } },
      "a.json#/$defs/A",
      /docs/,
    ],
    [
      "a type that extends itself",
      { $defs: { A: { allOf: [{ $ref: "#/$defs/A" }, object({ a: {} })] } } },
      "a.json#/$defs/A",
      /docs/,
    ],
    ["no schema", object({ a: 7 }), "a.json#/properties/a", /docs/],
    ["two definitions of one name", { $defs: { "a-b": {}, a_b: {} } }, "a.json#/$defs/a_b", /rename/],
    ["a definition without a name", { $defs: { "?": {} } }, "a.json#/$defs/?", /rename/],
  ])("%s", (_, schema, place, next) => {
    const error = of({ "a.json": schema });
    expect(error).toMatchObject({ code: "InvalidInput", message: expect.stringContaining(place) });
    expect(error.next).toMatch(next);
  });

  test.each([
    [["a.json", "a.schema.json"]],
    [["from-agent.json", "from_agent.json"]],
    [["a.json", "A.json"]],
    [["a.json", "a/b.json"]],
    [["a-b/c.json", "a_b/d.json", "a_b.json"]],
  ])("files of one module: %j", (names) => {
    const error = of(Object.fromEntries(names.map((name) => [name, {}])));
    expect(error).toMatchObject({ code: "InvalidInput", next: "rename one of the two" });
  });

  test("a schema that is nested without end is one too", () => {
    let schema: unknown = {};
    for (let depth = 0; depth < 600; depth++) schema = { items: schema };
    expect(of({ "a.json": schema }).message).toContain("nested more than 500 levels");
  });
});
