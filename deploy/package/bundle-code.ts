import path from "node:path";
import { type BuildOptions, build } from "esbuild";

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

/** `@salt/sdk` and `@salt/sdk/main`, which share what a program has declared. */
export async function bundleSdk(clone: string, output: string): Promise<void> {
  await build({
    ...options,
    absWorkingDir: clone,
    entryPoints: ["sdk/typescript/index.ts", "sdk/typescript/main.ts"],
    outdir: path.join(output, "sdk", "typescript"),
  });
}
