import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** Of the SDK's two modules. */
const entries = ["sdk/typescript/index.d.ts", "sdk/typescript/main.d.ts"];

/**
 * Writes the SDK's types, for editors and for the type check of `salt build`: declarations of its modules and of all that they
 * name, in the clone's folders. Fails with the compiler's words.
 */
export async function writeDeclarations(clone: string, output: string): Promise<void> {
  const temporary = await mkdtemp(path.join(tmpdir(), "salt-declarations-"));
  try {
    await compile(clone, temporary);
    const wanted = [...entries];
    for (const name of wanted) {
      const text = await readFile(path.join(temporary, "out", name), "utf8");
      const named = rewriteImports(name, text);
      for (const one of named.imported) if (!wanted.includes(one)) wanted.push(one);
      const file = path.join(output, name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, named.text);
    }
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function compile(clone: string, temporary: string): Promise<void> {
  const config = {
    extends: path.join(clone, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      noEmitOnError: true,
      declaration: true,
      emitDeclarationOnly: true,
      rootDir: clone,
      outDir: path.join(temporary, "out"),
      typeRoots: [path.join(clone, "node_modules", "@types")],
      // An import of the SDK by its name would not be found from the package.
      paths: {},
    },
    include: [],
    files: entries.map((name) => path.join(clone, name.replace(/\.d\.ts$/, ".ts"))),
  };
  const file = path.join(temporary, "tsconfig.json");
  await writeFile(file, JSON.stringify(config));
  const tsc = path.join(clone, "node_modules", "typescript", "bin", "tsc");
  await execute(process.execPath, [tsc, "--project", file, "--pretty", "false"]).catch((error: { stdout: string }) => {
    throw new Error(`The SDK's types cannot be declared:\n${error.stdout}`, { cause: error });
  });
}

/**
 * `#shared/x.ts` and `./x.ts`, which only the clone understands, become `../../shared/x.js` and `./x.js`, which is how a
 * declaration names another. `imported` are their files, relative to the clone.
 */
function rewriteImports(name: string, text: string): { readonly text: string; readonly imported: readonly string[] } {
  const folder = path.posix.dirname(name);
  const imported: string[] = [];
  const rewritten = text.replaceAll(
    /((?:\bfrom |\bimport\(|\bimport )")((?:#shared|\.\.?)\/[^"]+)\.ts"/g,
    (_, before: string, from: string) => {
      const target = from.startsWith("#") ? from.slice(1) : path.posix.join(folder, from);
      imported.push(`${target}.d.ts`);
      const relative = path.posix.relative(folder, target);
      return `${before}${relative.startsWith(".") ? "" : "./"}${relative}.js"`;
    },
  );
  return { text: rewritten, imported };
}
