/**
 * `npm run build`: makes `dist/package`, the folder that `npm publish` takes. Node strips no types from files in
 * `node_modules`, so what ships is JavaScript; its folders are those of the clone (`cli/installation.ts`).
 *
 * P1  The same sources give the same bytes, wherever they are.
 * P2  A package that comes along in the bundle is named in THIRD-PARTY.md, with its licence.
 */
import { chmod, cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { bundleCli, bundleSdk, externalPackages } from "./bundle-code.ts";
import { thirdPartyText } from "./third-party.ts";
import { writeDeclarations } from "./write-declarations.ts";

const clone = path.resolve(import.meta.dirname, "../..");

/** Makes the package in a folder, in place of what is there. */
export async function buildPackage(output: string): Promise<void> {
  await rm(output, { recursive: true, force: true });
  await mkdir(path.join(output, "cli"), { recursive: true });
  const copied = ["LICENSE", "CHANGELOG.md", path.join("shared", "protocol", "schemas"), ...filesReadByCli];
  const [bundled] = await Promise.all([
    bundleCli(clone, output),
    bundleSdk(clone, output),
    writeDeclarations(clone, output),
    ...copied.map((name) => cp(path.join(clone, name), path.join(output, name), { recursive: true, filter: isSource })),
    cp(path.join(import.meta.dirname, "README.md"), path.join(output, "README.md")),
    writeStarter(output),
    writeManifest(output),
  ]);
  await writeFile(path.join(output, "THIRD-PARTY.md"), await thirdPartyText(clone, bundled, "the files of `cli/`"));
}

/** Files and folders that the command line reads where `cli/installation.ts` says that they are. */
export const filesReadByCli = [
  path.join("cli", "templates"),
  path.join("cli", "build", "python", "tools.py"),
  ...["pyproject.toml", "README.md", "src"].map((name) => path.join("sdk", "python", name)),
];

/** What Python leaves beside its sources is none. */
export const isSource = (file: string): boolean => !file.includes("__pycache__");

/** `cli/bin.mjs` is plain JavaScript already; only the name of what it starts differs. */
async function writeStarter(output: string): Promise<void> {
  const text = await readFile(path.join(clone, "cli", "bin.mjs"), "utf8");
  const parts = text.split('"./main.ts"');
  if (parts.length !== 2) throw new Error("cli/bin.mjs does not import ./main.ts once");
  const file = path.join(output, "cli", "bin.mjs");
  await writeFile(file, parts.join('"./main.js"'));
  await chmod(file, 0o755);
}

async function writeManifest(output: string): Promise<void> {
  const text = await readFile(path.join(clone, "package.json"), "utf8");
  const { name, version, description, license, type, engines, bin, dependencies } = JSON.parse(text) as {
    readonly [key: string]: unknown;
    readonly dependencies: Readonly<Record<string, string>>;
  };
  const external = externalPackages.map((one) => {
    if (dependencies[one] === undefined) throw new Error(`package.json does not name ${one}`);
    return [one, dependencies[one]];
  });
  const manifest = {
    name,
    version,
    description,
    keywords: ["workflow", "scheduler", "durable", "agent"],
    license,
    type,
    engines,
    bin,
    exports: { "./package.json": "./package.json" },
    dependencies: Object.fromEntries(external),
  };
  await writeFile(path.join(output, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
}

if (import.meta.main) {
  const output = path.join(clone, "dist", "package");
  await buildPackage(output);
  process.stdout.write(`${path.relative(process.cwd(), output)}\n`);
}
