import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { runProcess } from "../../run-process.ts";
import { indent } from "../describe-binary.ts";
import { hostPlatform } from "../host.ts";
import { askTools, type BuildEnvironment } from "./build-environment.ts";
import type { Wheel } from "./make-wheel.ts";

/** The pip that resolves, whichever comes with the interpreter. */
const pipVersion = "25.3";
const pexTimeoutMs = 30 * 60_000;

export interface PexRequest {
  readonly platform: Platform;
  /** The module that declares what the project has. */
  readonly module: string;
  /** The project's own and the SDK's. */
  readonly wheels: readonly Wheel[];
  /** Lines of a requirements file: what is resolved. Where they have hashes, all must. */
  readonly requirements: readonly string[];
  /** Lines that hold versions down. */
  readonly constraints: readonly string[];
  /** For what is written beside the PEX. */
  readonly workFolder: string;
  readonly output: string;
  /** What to do when the resolver finds no answer. */
  readonly next: string;
}

/**
 * Makes a PEX. Wheels go in as they are, so that their digests can be held against a lock and unlike PEXes share their
 * bytes; nothing in it depends on time or folders. `BuildFailed` in the resolver's words.
 */
export async function makePex(environment: BuildEnvironment, request: PexRequest): Promise<void> {
  const { workFolder, output, platform } = request;
  const entry = path.join(workFolder, "entry");
  await mkdir(entry, { recursive: true });
  await mkdir(path.dirname(output), { recursive: true });
  await writeFile(path.join(entry, "salt_entry.py"), entryText(request.module));
  const lines = async (name: string, texts: readonly string[]) => {
    await writeFile(path.join(workFolder, name), `${texts.join("\n")}\n`);
    return path.join(workFolder, name);
  };
  const options = [
    ...["--requirement", await lines("requirements.txt", request.requirements)],
    ...["--constraints", await lines("constraints.txt", request.constraints)],
    ...[...new Set(request.wheels.map(({ file }) => path.dirname(file)))].flatMap((folder) => ["--find-links", folder]),
    ...["--sources-directory", entry, "--entry-point", "salt_entry", "--python-shebang", "/usr/bin/env python3"],
    ...["--include-tools", "--no-pre-install-wheels", "--no-compress", "--use-pip-config"],
    ...["--pip-version", pipVersion, "--pex-root", environment.pexRoot, "--output-file", output],
  ];
  if (platform !== hostPlatform()) {
    const complete = await askTools(environment, ["platform", platform, environment.interpreter.version]);
    options.push("--complete-platform", await lines("platform.json", [JSON.stringify(complete)]));
  }
  const end = await runProcess([environment.python, "-m", "pex", ...options], {
    cwd: workFolder,
    env: { ...environment.env, PEX_IGNORE_RCFILES: "1" },
    timeoutMs: pexTimeoutMs,
  });
  if (end.status !== 0) throw resolverError(end.timedOut ? "it took too long" : end.stderr, request);
}

/**
 * The project's module under its own name, so that what it declares is importable elsewhere too; then it serves.
 * Processes that multiprocessing starts import this as well, and are no programs.
 */
const entryText = (module: string): string =>
  `import ${module}  # noqa: F401\nfrom salt import main\n\nif __name__ == "__main__":\n    main()\n`;

function resolverError(stderr: string, { platform, next }: PexRequest): SaltError {
  // pex tells first which command of pip's failed, then what pip wrote.
  const words = (stderr.split("and STDERR:\n").at(-1) ?? stderr).replaceAll(/^pip: /gm, "");
  const isOffline = /NewConnectionError|name resolution|Network is unreachable|Connection (refused|reset)|timed out/i;
  const isAway = isOffline.test(words);
  return new SaltError(
    "BuildFailed",
    `Cannot resolve the dependencies for ${platform}. The resolver says:\n${indent(words)}`,
    {
      next: isAway ? "try again with a network; pip's own settings (index, proxy, certificates) apply" : next,
      retryable: isAway,
    },
  );
}
