import { functionName, takeName } from "./names.ts";
import { localNames } from "./order-types.ts";
import { comment, printTypescriptType } from "./print-typescript.ts";
import type { Stub, StubModule } from "./stubs.ts";

const keywords = new Set(
  (
    "await break case catch class const continue debugger default delete do else enum export extends false finally for " +
    "function if implements import in instanceof interface let new null package private protected public return static " +
    "super switch this throw true try typeof var void while with yield arguments eval undefined call"
  ).split(" "),
);

/** A module of functions, each of which calls what it is named after by `call` of `@salt/sdk`. */
export function printTypescriptStubs({ header, module, stubs }: StubModule): string {
  const types = module.types.map((type) => printTypescriptType(type, localNames(module)));
  const taken = new Set([...keywords, ...module.types.map((type) => type.name)]);
  const functions = stubs.map((stub) => functionText(stub, functionNameOf(stub, taken)));
  const code = [...types, ...functions].join("\n\n");
  const imported = ["Argument", "Decimal", "Duration", "FileValue", "Ref", "TaskCallOptions", "WorkflowCallOptions"]
    .filter((name) => new RegExp(`\\b${name}\\b`).test(code))
    .map((name) => `type ${name}`);
  const names = [...imported, ...(stubs.length > 0 ? ["call"] : [])].sort((a, b) => (plain(a) < plain(b) ? -1 : 1));
  const line = names.length === 0 ? "" : `import { ${names.join(", ")} } from "@salt/sdk";\n\n`;
  return `// ${header}\n${line}${code}\n`;
}

const plain = (name: string): string => name.replace("type ", "").toLowerCase();

function functionNameOf({ name }: Stub, taken: Set<string>): string {
  const word = functionName(name);
  return takeName(taken.has(word) ? `${word}_` : word, taken);
}

function functionText(stub: Stub, name: string): string {
  const input = stub.input?.name ?? "unknown";
  const output = stub.output?.name ?? "unknown";
  const options = stub.kind === "task" ? "TaskCallOptions" : "WorkflowCallOptions";
  const what = stub.kind === "task" ? "Calls the task type" : "Opens a child run of the workflow";
  const about = [...(stub.description === null ? [] : [stub.description]), `${what} \`${stub.qualified}\`.`].join("\n");
  const given = stub.kind === "task" ? "options" : '{ ...options, kind: "workflow" }';
  const parameters = [
    `input${stub.inputOptional ? "?" : ""}: ${input === "unknown" ? input : `Argument<${input}>`}`,
    `options?: ${options}`,
  ];
  const line = `export function ${name}(${parameters.join(", ")}): Ref<${output}> {`;
  const head =
    line.length <= 120 ? line : `export function ${name}(\n  ${parameters.join(",\n  ")},\n): Ref<${output}> {`;
  return [
    comment(about, "") + head,
    `  return call<${output}>(${JSON.stringify(stub.qualified)}, input, ${given});`,
    "}",
  ].join("\n");
}
