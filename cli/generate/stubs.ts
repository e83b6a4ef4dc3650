import type { Manifest, TaskType, WorkflowType } from "#shared/protocol/manifest.ts";
import { buildModel } from "./build-model.ts";
import type { Language } from "./languages.ts";
import type { ModuleModel, Shape, TypeModel } from "./model.ts";
import { takeName, typeName } from "./names.ts";
import type { SchemaDocument } from "./place.ts";
import { printPythonStubs } from "./print-python-stubs.ts";
import { printTypescriptStubs } from "./print-typescript-stubs.ts";
import { generatedMark } from "./write-tree.ts";

/** A task type or workflow of another project, as it can be called from here. */
export interface Stub {
  readonly kind: "task" | "workflow";
  readonly name: string;
  /** `project/name`. */
  readonly qualified: string;
  readonly description: string | null;
  /** Null: anything. */
  readonly input: TypeModel | null;
  readonly output: TypeModel | null;
  /** It may be called without an input. */
  readonly inputOptional: boolean;
}

export interface StubModule {
  readonly header: string;
  readonly module: ModuleModel;
  readonly stubs: readonly Stub[];
}

/** What the printers of both languages name, besides the words of the languages. */
const reserved = new Set([
  ...["Record", "Partial", "Array", "Date", "Uint8Array", "Map", "Set", "Error", "Exception", "Decimal", "Duration"],
  ...["FileValue", "Ref", "Argument", "TaskCallOptions", "WorkflowCallOptions", "BigInt", "UUID"],
  ...["Any", "Literal", "NoReturn", "TypeAlias", "TypedDict", "None", "True", "False", "I", "O"],
]);

/**
 * The module by which another project calls a registered one's task types and workflows with types. `release` is its id, null
 * for a manifest that is not registered. Throws SaltError `InvalidInput` naming whose schema is not supported.
 */
export function printStubs(manifest: Manifest, release: string | null, language: Language): string {
  const { project, description } = manifest;
  const module: ModuleModel = { path: [project], description: null, types: [] };
  const kinds = [
    ...description.tasks.map((type) => ({ kind: "task" as const, type })),
    ...description.workflows.map((type) => ({ kind: "workflow" as const, type })),
  ].map(({ kind, type }) => ({
    kind,
    type,
    input: documentOf(kind, type, "input"),
    output: documentOf(kind, type, "output"),
  }));
  const roots = new Map<SchemaDocument, string>();
  const nameOf = (document: SchemaDocument, key: string | null, taken: ReadonlySet<string>): string => {
    const root = roots.get(document) ?? typeName(document.url.slice("stub:///".length));
    // What a schema's generator has named itself says nothing to people.
    const plain = key === null ? root : key.startsWith("__") ? root + typeName(key) : typeName(key) || root;
    const name = takeName(plain, new Set(taken));
    if (key === null) roots.set(document, name);
    return name;
  };
  function documentOf(kind: Stub["kind"], type: TaskType | WorkflowType, what: "input" | "output"): SchemaDocument {
    const label = `the ${what} of ${kind === "task" ? "task type" : "workflow"} '${project}/${type.name}'`;
    return { label, url: `stub:///${type.name}/${what}`, schema: type[what], module };
  }
  buildModel(
    kinds.flatMap(({ input, output }) => [input, output]),
    { reserved, nameOf, natives: true },
  );
  const typeOf = (document: SchemaDocument): TypeModel | null => {
    const found = module.types.find((type) => type.name === roots.get(document));
    return found === undefined || found.shape.kind === "any" ? null : found;
  };
  const stubs = kinds.map(({ kind, type, input, output }) => {
    const given = typeOf(input);
    return {
      kind,
      name: type.name,
      qualified: `${project}/${type.name}`,
      description: type.description ?? null,
      input: given,
      output: typeOf(output),
      inputOptional: given === null || takesNull(given.shape),
    };
  });
  const named = new Set(roots.values());
  const types = module.types.filter((type) => type.shape.kind !== "any" || !named.has(type.name));
  module.types.splice(0, module.types.length, ...types);
  const from = release === null ? project : `${project}@${release}`;
  const header = `${generatedMark}salt generate ${from} --language ${language}\`; a change here is lost.`;
  const printed = { header, module, stubs };
  return language === "python" ? printPythonStubs(printed) : printTypescriptStubs(printed);
}

function takesNull(shape: TypeModel["shape"]): boolean {
  const isNull = (one: Shape): boolean =>
    one.kind === "null" || one.kind === "any" || (one.kind === "literal" && one.values.includes(null));
  return shape.kind === "union" ? shape.of.some(isNull) : shape.kind !== "object" && isNull(shape);
}
