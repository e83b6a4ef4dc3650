import { pythonKeywords, snakeName, takeName } from "./names.ts";
import { isText, localNames } from "./order-types.ts";
import { docText, linterLines, printPythonTypes } from "./print-python.ts";
import type { Stub, StubModule } from "./stubs.ts";

const libraries = [
  { from: "datetime", names: ["datetime", "timedelta"] },
  { from: "decimal", names: ["Decimal"] },
  { from: "typing", names: ["Any", "Literal", "NoReturn", "TypeAlias", "TypedDict", "final"] },
  { from: "uuid", names: ["UUID"] },
] as const;
const sdkNames = ["BigInt", "FileValue", "Map", "Ref", "call"] as const;

/** A module of functions, each of which calls what it is named after by `salt.call`. */
export function printPythonStubs({ header, module, stubs }: StubModule): string {
  const names = localNames(module);
  const { classes, lines } = printPythonTypes(module, names);
  const taken = new Set<string>([...pythonKeywords, ...names.values(), ...sdkNames, "datetime", "timedelta", "final"]);
  const functions = stubs.map((stub) => functionText(stub, functionNameOf(stub, taken)));
  const words = new Set(`${lines} ${stubs.length > 0 ? "Any Ref call" : ""}`.match(/\w+/g));
  const used = (candidates: readonly string[]): string => candidates.filter((name) => words.has(name)).join(", ");
  const standard = libraries.flatMap(({ from, names: all }) =>
    used(all) === "" ? [] : [`from ${from} import ${used(all)}`],
  );
  const blocks = [
    "from __future__ import annotations",
    ...(standard.length > 0 ? [standard.join("\n")] : []),
    ...(used(sdkNames) === "" ? [] : [`from salt import ${used(sdkNames)}`]),
  ];
  const code = [...(classes === "" ? [] : [classes]), ...functions].join("\n\n\n");
  const head = [`# ${header}`, ...linterLines(`# ${header}\n${code}`)];
  const gap = /^(class |def |@)/.test(code) ? "\n\n\n" : "\n\n";
  return `${head.join("\n")}\n${blocks.join("\n\n")}${gap}${code}\n`;
}

function functionNameOf({ name }: Stub, taken: Set<string>): string {
  const word = snakeName(name);
  return takeName(taken.has(word) ? `${word}_` : word, taken);
}

function functionText(stub: Stub, name: string): string {
  const input = stub.input === null ? "Any" : `${stub.input.name} | Ref[${stub.input.name}]`;
  const output = stub.output?.name ?? "Any";
  const what = stub.kind === "task" ? "Calls the task type" : "Opens a child run of the workflow";
  const about = [...(stub.description === null ? [] : [stub.description, ""]), `${what} \`${stub.qualified}\`.`].join(
    "\n",
  );
  const options = stub.kind === "task" ? ["    **options: Any,"] : [];
  // A type that names itself is a text, which says nothing when the output is read.
  const readAs = stub.output === null || isText(stub.output) ? [] : [`output=${output}`];
  const passed = [
    JSON.stringify(stub.qualified),
    "argument",
    ...(stub.kind === "task" ? [] : ['kind="workflow"']),
    ...readAs,
    "key=key",
    "detached=detached",
    ...(stub.kind === "task" ? ["**options"] : []),
  ];
  const passedOn = `    ref: Ref[${output}] = call(\n${passed.map((one) => `        ${one},`).join("\n")}\n    )`;
  return [
    `def ${name}(`,
    `    argument: ${input}${stub.inputOptional ? " = None" : ""},`,
    "    *,",
    "    key: str | None = None,",
    "    detached: bool = False,",
    ...options,
    `) -> Ref[${output}]:`,
    ...docText(about),
    passedOn,
    "    return ref",
  ].join("\n");
}
