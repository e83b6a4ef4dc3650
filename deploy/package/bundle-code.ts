import path from "node:path";
import { type BuildOptions, build, type Plugin } from "esbuild";

/**
 * What the package depends on; all else is bundled. `node`, `typescript` and `@types/node` are tools of `salt build`, as is
 * esbuild, which is a program of its own; zod is here because a project's schemas and the SDK must mean the same one.
 */
export const externalPackages = ["@types/node", "esbuild", "node", "typescript", "zod"] as const;

const options = {
  bundle: true,
  splitting: true,
  chunkNames: "[name]-[hash]",
  format: "esm",
  platform: "node",
  // What cli/bin.mjs asks for.
  target: "node24",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
  external: [...externalPackages],
} as const satisfies BuildOptions;

/** CommonJS packages call `require` for Node's own modules. */
const banner = [
  'import { createRequire as saltCreateRequire } from "node:module";',
  "const require = saltCreateRequire(import.meta.url);",
].join("\n");

/**
 * The command line, and with it coordinator and agent. Whatever is imported when it is called for stays a file of its own.
 * All files are in one folder, for `cli/installation.ts` counts on it. Returns the names of the sources, relative to the clone.
 */
export async function bundleCli(clone: string, output: string): Promise<string[]> {
  const { metafile } = await build({
    ...options,
    absWorkingDir: clone,
    entryPoints: ["cli/main.ts"],
    outdir: path.join(output, "cli"),
    banner: { js: banner },
  });
  return Object.keys(metafile.inputs);
}

const starter = `import { runCli } from "./cli/main.ts";\nprocess.exitCode = await runCli(process.argv.slice(2));\n`;

/**
 * The command line as one module, for a single executable, with files of the installation inside of it. esbuild stays
 * outside: it is loaded for TypeScript projects alone, which such an executable refuses. Returns the names of the sources too.
 */
export async function bundleExecutable(
  clone: string,
  files: Readonly<Record<string, string>>,
): Promise<{ readonly code: string; readonly sources: string[] }> {
  const { outputFiles, metafile } = await build({
    ...options,
    absWorkingDir: clone,
    stdin: { contents: starter, resolveDir: clone, sourcefile: "salt-executable.ts", loader: "ts" },
    splitting: false,
    external: ["esbuild"],
    write: false,
    banner: { js: banner },
    plugins: [embed(files)],
  });
  return { code: outputFiles[0]?.text ?? "", sources: Object.keys(metafile.inputs) };
}

/** Gives `cli/embedded-files.ts` the files. As JSON within a string they are parsed soonest. */
function embed(files: Readonly<Record<string, string>>): Plugin {
  const contents = `export const embeddedFiles = JSON.parse(${JSON.stringify(JSON.stringify(files))});`;
  return {
    name: "embed",
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]cli[\\/]embedded-files\.ts$/ }, () => ({ contents, loader: "js" }));
    },
  };
}

/** `@salt/sdk` and `@salt/sdk/main`, which share what a program has declared. */
export async function bundleSdk(clone: string, output: string): Promise<void> {
  await build({
    ...options,
    absWorkingDir: clone,
    entryPoints: ["sdk/typescript/index.ts", "sdk/typescript/main.ts"],
    outdir: path.join(output, "sdk", "typescript"),
  });
}
