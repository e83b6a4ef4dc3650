import { readFile } from "node:fs/promises";
import path from "node:path";
import type { OnResolveArgs, OnResolveResult, Plugin, PluginBuild } from "esbuild";
import { fileInstalled, nameInstalled, saltFolder, sdkFolder, sdkModules } from "../../installation.ts";

const sdkFiles: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(sdkModules).map(([name, { code }]) => [
    path.posix.join("@salt/sdk", name),
    path.join(sdkFolder, code),
  ]),
);
/** Packages that do nothing but find and load a native addon at run time. */
const addonLoaders = new Set([
  "bindings",
  "node-gyp-build",
  "node-pre-gyp",
  "@mapbox/node-pre-gyp",
  "prebuild-install",
  "node-gyp-build-optional-packages",
]);
const passing = Symbol("passing");

/**
 * R1  `@salt/sdk` and `zod` are this installation's where the project has none of its own.
 * R2  A file of this installation that is not the project's gets a name that says nothing of where the installation
 *     is.
 * R3  A native addon is an error at the project's line that leads to it.
 */
export function resolvePlugin(projectFolder: string): Plugin {
  return {
    name: "salt",
    setup(build) {
      const importers = new Map<string, OnResolveArgs>();
      build.onResolve({ filter: /.*/ }, async (args) => {
        if (args.pluginData === passing) return undefined;
        if (isAddon(args.path)) return addonError(projectFolder, importers, args);
        const found = await resolveImport(build, args);
        if (found === undefined) return undefined;
        if (!importers.has(found.path ?? "")) importers.set(found.path ?? "", args);
        return found.errors ? found : nameForeign(projectFolder, found);
      });
      build.onLoad({ filter: /.*/, namespace: "salt" }, async (args) => {
        const file = fileInstalled(args.path);
        return { contents: await readFile(file, "utf8"), loader: "default", resolveDir: path.dirname(file) };
      });
    },
  };
}

async function resolveImport(build: PluginBuild, args: OnResolveArgs): Promise<OnResolveResult | undefined> {
  const { importer, namespace, resolveDir, kind } = args;
  const found = await build.resolve(args.path, { importer, namespace, resolveDir, kind, pluginData: passing });
  if (found.errors.length === 0) return resultOf(found);
  const fallback = sdkFiles[args.path] ?? (/^zod(\/|$)/.test(args.path) ? args.path : null);
  if (fallback === null) return undefined;
  const own = await build.resolve(fallback, { resolveDir: saltFolder, kind, pluginData: passing });
  return own.errors.length === 0 ? resultOf(own) : undefined;
}

const resultOf = (found: {
  path: string;
  namespace: string;
  external: boolean;
  sideEffects: boolean;
  suffix: string;
}) => ({
  path: found.path,
  namespace: found.namespace,
  external: found.external,
  sideEffects: found.sideEffects,
  suffix: found.suffix,
});

const isWithin = (folder: string, file: string): boolean => file.startsWith(folder + path.sep);

/** R2 */
function nameForeign(projectFolder: string, found: OnResolveResult): OnResolveResult {
  if (found.external || found.namespace !== "file" || found.path === undefined) return found;
  const name = isWithin(projectFolder, found.path) ? null : nameInstalled(found.path);
  return name === null ? found : { ...found, namespace: "salt", path: name };
}

const isAddon = (specifier: string): boolean => specifier.endsWith(".node") || addonLoaders.has(specifier);

/** Walks from the addon up to the project's own import of the package that brings it. */
function addonError(
  projectFolder: string,
  importers: ReadonlyMap<string, OnResolveArgs>,
  args: OnResolveArgs,
): OnResolveResult {
  let at: OnResolveArgs = args;
  for (let depth = 0; depth < 100 && at.importer.includes(`${path.sep}node_modules${path.sep}`); depth++) {
    const above = importers.get(at.importer);
    if (above === undefined) break;
    at = above;
  }
  const importer = path.relative(projectFolder, at.importer).split(path.sep).join("/");
  const what = at === args ? `'${args.path}'` : `'${at.path}', which brings '${args.path}'`;
  return {
    errors: [
      {
        text: `${importer} imports ${what}: a native addon cannot be part of a single executable`,
        notes: [
          { text: "→ use a package in plain JavaScript or WebAssembly, or move this work to a program of its own" },
        ],
      },
    ],
  };
}
