/**
 * `npm run build:wheel [platform]`: makes `dist/salt_py-<version>-py3-none-<platform>.whl`, which brings `import salt` and
 * the `salt` command. It is the SDK's wheel, made by its own build backend, with one executable more.
 *
 * W1  The same sources give the same bytes, as long as hatchling and zlib are the same.
 * W2  The SDK that the executable gives to the projects that it builds is that of the wheel.
 * W3  The wheel has the licence of everything that is inside of it.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { hostPlatform } from "#cli/build/host.ts";
import { openBuildEnvironment } from "#cli/build/python/build-environment.ts";
import { firstInterpreter } from "#cli/build/python/find-interpreters.ts";
import { makeWheel } from "#cli/build/python/make-wheel.ts";
import { listSources } from "#cli/build/python/source-tree.ts";
import type { BuildDeps } from "#cli/build/toolchain.ts";
import { isSource } from "../package/build-package.ts";
import { buildExecutable } from "./build-executable.ts";

const clone = path.resolve(import.meta.dirname, "../..");
const sdk = path.join("sdk", "python");

/**
 * The platforms that wheels are made for, and their tags (PEP 600). The executable is Node, whose own builds need glibc 2.28
 * (BUILDING.md of nodejs/node, "Platform list"), and of other libraries only such as the tag takes for granted.
 */
const tags = { "linux-x64": "manylinux_2_28_x86_64", "linux-arm64": "manylinux_2_28_aarch64" } as const;
type WheelPlatform = keyof typeof tags;

export const isWheelPlatform = (platform: string): platform is WheelPlatform => Object.hasOwn(tags, platform);

/** Makes the wheel for a platform in a folder, and returns its file. */
export async function buildWheel(deps: BuildDeps, platform: WheelPlatform, output: string): Promise<string> {
  const environment = await openBuildEnvironment(deps, await firstInterpreter(deps.env));
  const project = await mkdtemp(path.join(tmpdir(), "salt-wheel-project-"));
  try {
    await copySdk(project, platform);
    deps.say("Making the executable of salt");
    const { notices } = await buildExecutable(deps, platform, path.join(project, "bin", "salt"));
    await writeFile(path.join(project, "LICENSE-THIRD-PARTY.md"), notices);
    deps.say("Making the wheel");
    const wheel = await makeWheel(environment, { folder: project, files: await listSources(project) }, output);
    return wheel.file;
  } finally {
    await rm(project, { recursive: true, force: true });
  }
}

/** The SDK as a project of its own, whose wheels are for one platform. */
async function copySdk(project: string, platform: WheelPlatform): Promise<void> {
  for (const name of ["README.md", "src"]) {
    await cp(path.join(clone, sdk, name), path.join(project, name), { recursive: true, filter: isSource });
  }
  await cp(path.join(clone, "LICENSE"), path.join(project, "LICENSE"));
  await cp(path.join(import.meta.dirname, "hatch_build.py"), path.join(project, "hatch_build.py"));
  const manifest = await readFile(path.join(clone, sdk, "pyproject.toml"), "utf8");
  const hook = `\n[tool.hatch.build.targets.wheel.hooks.custom]\nplatform = "${tags[platform]}"\n`;
  await writeFile(path.join(project, "pyproject.toml"), manifest + hook);
}

if (import.meta.main) {
  const platform = process.argv[2] ?? hostPlatform();
  if (!isWheelPlatform(platform)) {
    throw new Error(`There is no wheel for ${platform}: it is made for ${Object.keys(tags).join(" and ")}.`);
  }
  const say = (line: string) => void process.stderr.write(`${line}\n`);
  const file = await buildWheel({ env: process.env, say, nowMs: Date.now }, platform, path.join(clone, "dist"));
  process.stdout.write(`${path.relative(process.cwd(), file)}\n`);
}
