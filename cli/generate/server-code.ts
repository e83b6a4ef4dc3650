import { SaltError } from "#shared/domain/errors.ts";
import { buildModel } from "./build-model.ts";
import type { Language } from "./languages.ts";
import type { ModuleModel } from "./model.ts";
import { pythonModuleName, typeName } from "./names.ts";
import type { SchemaDocument } from "./place.ts";
import { linterLines, printPythonModule } from "./print-python.ts";
import { cleanLines, printTypescriptModule } from "./print-typescript.ts";
import type { SchemaSource } from "./read-schemas.ts";
import { generatedMark, type Tree } from "./write-tree.ts";

/** What generated code of either language names itself. */
const reserved = new Set([
  ...[
    "Record",
    "Partial",
    "Array",
    "Any",
    "Literal",
    "NoReturn",
    "TypeAlias",
    "TypedDict",
    "None",
    "True",
    "False",
    "I",
    "O",
  ],
]);

/**
 * Typed message code of schema files, in the tree that they are in. The same files give the same code. Throws SaltError
 * `InvalidInput` naming file and JSON pointer.
 */
export function serverCode(sources: readonly SchemaSource[], language: Language): Tree {
  const documents = sources.map(documentOf);
  refuseSameModules(documents);
  buildModel(documents, { reserved, nameOf });
  const modules = documents.map(({ module, label }) => ({ module, label }));
  return language === "python" ? pythonTree(modules) : typescriptTree(modules);
}

function documentOf({ file, schema }: SchemaSource): SchemaDocument {
  const top = typeof schema === "object" && schema !== null ? (schema as Record<string, unknown>) : {};
  const { title, description, $id } = top;
  const about = [title, description].filter((text) => typeof text === "string").join("\n");
  const module: ModuleModel = {
    path: file.replace(/(\.schema)?\.json$/, "").split("/"),
    description: about === "" ? null : about,
    types: [],
  };
  const own = `schema:///${file.split("/").map(encodeURIComponent).join("/")}`;
  const url = typeof $id === "string" ? URL.parse($id, own)?.href : undefined;
  return { label: file, url: (url ?? own).replace(/#$/, ""), schema, module };
}

/** Python's names are the narrower ones, and some file systems take upper and lower case to be one. */
function refuseSameModules(documents: readonly SchemaDocument[]): void {
  const places = new Map<string, string>();
  const claim = (steps: readonly string[], label: string, kind: "file" | "folder"): void => {
    const place = steps.join("/").toLowerCase();
    const other = places.get(place);
    if (other !== undefined && (kind === "file" || other !== `folder ${steps.join("/")}`)) {
      throw new SaltError(
        "InvalidInput",
        `Cannot make code of ${label}: its module would have the place of ${other}.`,
        {
          next: "rename one of the two",
        },
      );
    }
    places.set(place, kind === "file" ? label : `folder ${steps.join("/")}`);
  };
  for (const { module, label } of documents) {
    if (module.path.some((step) => pythonModuleName(step) === "")) {
      throw new SaltError("InvalidInput", `Cannot make code of ${label}: a part of its name has no letter or digit.`, {
        next: "rename it",
      });
    }
    const python = module.path.map(pythonModuleName);
    for (let depth = 1; depth < python.length; depth++) claim(python.slice(0, depth), label, "folder");
    claim(python, label, "file");
  }
}

function nameOf(document: SchemaDocument, key: string | null, taken: ReadonlySet<string>): string {
  const { schema, module, label } = document;
  const title = typeof schema === "object" && schema !== null ? (schema as { title?: unknown }).title : undefined;
  const text = key ?? (typeof title === "string" ? title : "");
  const word = typeName(text) || typeName(key === null ? (module.path.at(-1) ?? "") : "");
  const what = key === null ? label : `${label}#/$defs/${key}`;
  if (word === "") {
    throw new SaltError("InvalidInput", `Cannot name a type of ${what}: it has no letter or digit.`, {
      next: "rename it",
    });
  }
  const name = reserved.has(word) ? `${word}Type` : word;
  if (!taken.has(name)) return name;
  throw new SaltError("InvalidInput", `Cannot name a type of ${what}: the file has a '${name}' already.`, {
    next: "rename one of the two, such that they differ in more than case and punctuation",
  });
}

interface Printed {
  readonly module: ModuleModel;
  readonly label: string;
}

function headLines(language: Language, source: string, about: string | null): string[] {
  const lines = [
    `${generatedMark}salt generate-server-code --language ${language}\`; a change here is lost.`,
    `Source: ${source}`,
    ...(about === null ? [] : cleanLines(about, 84)),
  ];
  const mark = language === "python" ? "#" : "//";
  return lines.map((line) => `${mark} ${line}`.trimEnd());
}

const typescriptTree = (modules: readonly Printed[]): Tree =>
  Object.fromEntries(
    modules.map(({ module, label }) => {
      const head = headLines("typescript", label, module.description).join("\n");
      return [`${module.path.join("/")}.ts`, `${head}\n\n${printTypescriptModule(module)}\n`];
    }),
  );

function pythonTree(modules: readonly Printed[]): Tree {
  const tree: Record<string, string> = {};
  for (const { module, label } of modules) {
    const steps = module.path.map(pythonModuleName);
    for (let depth = 0; depth < steps.length; depth++) {
      const source = depth === 0 ? "the whole folder" : `${module.path.slice(0, depth).join("/")}/`;
      const file = [...steps.slice(0, depth), "__init__.py"].join("/");
      tree[file] = `${headLines("python", source, null).join("\n")}\n`;
    }
    const code = printPythonModule(module);
    const head = [...headLines("python", label, module.description), ...linterLines(code)];
    tree[`${steps.join("/")}.py`] = `${head.join("\n")}\n${code}\n`;
  }
  return tree;
}
