import path from "node:path";
import type { BuildFailure, Message } from "esbuild";
import { SaltError } from "#shared/domain/errors.ts";
import { didYouMean } from "../../nearest.ts";
import { type Problem, problemsError } from "../../problems.ts";
import { checkEntry } from "../check-entry.ts";
import { type Project, projectFileName } from "../read-project.ts";
import { resolvePlugin } from "./resolve-plugin.ts";
import { trimSourceMap } from "./trim-source-map.ts";

/** The first line may be replaced by another. CommonJS packages expect the names; modules have none of them. */
const banner = [
  "// Made by salt build.",
  'import { createRequire as saltCreateRequire } from "node:module";',
  'import { fileURLToPath as saltFileUrlToPath } from "node:url";',
  "globalThis.require ??= saltCreateRequire(import.meta.url);",
  "const saltFilename = saltFileUrlToPath(import.meta.url);",
  'const saltDirname = saltFilename.replace(/[\\\\/][^\\\\/]*$/, "");',
].join("\n");

/**
 * One module with the project, its dependencies and the SDK. Its bytes depend on the sources alone, not on the folders
 * they are in. `BuildFailed` with file, line and column.
 */
export async function bundleProject(project: Project): Promise<string> {
  await checkEntry(project);
  const entry = `./${path.posix.normalize(project.entry.replaceAll("\\", "/"))}`;
  const { build } = await import("esbuild");
  try {
    const result = await build({
      stdin: {
        contents: `import ${JSON.stringify(entry)};\nimport { main } from "@salt/sdk/main";\nawait main();\n`,
        resolveDir: project.folder,
        sourcefile: "salt-entry.ts",
        loader: "ts",
      },
      absWorkingDir: project.folder,
      outfile: path.join(project.folder, "main.mjs"),
      write: false,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node26",
      charset: "utf8",
      legalComments: "none",
      logLevel: "silent",
      logLimit: 50,
      sourcemap: "external",
      sourcesContent: false,
      banner: { js: banner },
      define: { __filename: "saltFilename", __dirname: "saltDirname" },
      plugins: [resolvePlugin(project.folder)],
    });
    const textOf = (ending: string) => result.outputFiles.find((file) => file.path.endsWith(ending))?.text ?? "";
    return textOf(".mjs") + inlineMap(textOf(".map"));
  } catch (error) {
    throw bundleError(error);
  }
}

/** The map of the project's own files alone: Node reads it at each start, and one of everything costs 40 ms. */
function inlineMap(text: string): string {
  const map = trimSourceMap(text, (source) => !source.includes(":") && !source.includes("node_modules/"));
  return `\n//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString("base64")}\n`;
}

function bundleError(error: unknown): unknown {
  const errors = (error as Partial<BuildFailure>).errors;
  if (errors === undefined) {
    return new SaltError("BuildFailed", `Cannot bundle: ${(error as Error).message}`, { cause: error });
  }
  return problemsError("Cannot bundle", errors.map(messageProblem));
}

function messageProblem(message: Message): Problem {
  const { location } = message;
  const notes = message.notes.map((note) => note.text).filter((text) => text.startsWith("→ "));
  const missing = /^Could not resolve "([^"]+)"/.exec(message.text)?.[1];
  return {
    file: location?.file.replace(/^[a-z]+:/, "") ?? projectFileName,
    line: location?.line ?? null,
    column: location === null ? null : location.column + 1,
    text: message.text,
    ...(location === null ? {} : { source: location.lineText }),
    ...(notes[0] === undefined ? missingNext(missing) : { next: notes[0].slice(2) }),
  };
}

const builtins = [
  "fs",
  "path",
  "os",
  "crypto",
  "http",
  "https",
  "stream",
  "events",
  "util",
  "url",
  "zlib",
  "child_process",
];

function missingNext(missing: string | undefined): { next?: string } {
  if (missing === undefined) return {};
  if (missing.startsWith(".") || missing.startsWith("/")) {
    return { next: `write ${missing}, or correct the import (the path is relative to the importing file)` };
  }
  const name = missing
    .split("/")
    .slice(0, missing.startsWith("@") ? 2 : 1)
    .join("/");
  return { next: `npm install ${name}${didYouMean(name, builtins)}` };
}
