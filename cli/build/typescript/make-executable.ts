/**
 * Makes single executables. `node --build-sea` takes seconds, most of them spent on moving 150 MB of Node about, and what it
 * makes for two programs of equal length differs in the program's bytes alone. So it is asked once for a template, and a
 * program is written into a copy of that.
 *
 * M1  The result is, byte for byte, what `node --build-sea` makes of the padded program, up to `finish`.
 * M2  A template is named by the digest of its base and its length; it appears in the cache whole or not at all.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { runProcess } from "../../run-process.ts";
import { digestFile } from "../digest-file.ts";
import { type Base, findPinnedNode } from "./find-base.ts";

/** Programs are padded to a multiple of this, so that a changed program fits the template of the one before. */
const paddingBytes = 1024 * 1024;
const templatesMax = 4;
const seaTimeoutMs = 5 * 60_000;

export interface ExecutableRequest {
  readonly bundle: string;
  readonly base: Base;
  readonly output: string;
  readonly cacheFolder: string;
  /** Done to the file before its digest is taken. */
  readonly finish?: (file: string) => Promise<void>;
}

/**
 * Writes the executable and returns its digest. The same bundle and base give the same bytes. Where it fails, no file is
 * left; while it writes, what is there is not whole.
 */
export async function makeExecutable(request: ExecutableRequest): Promise<{ sha256: string; bytes: number }> {
  const program = padProgram(request.bundle);
  const template = await findTemplate(request, program.byteLength);
  await mkdir(path.dirname(request.output), { recursive: true });
  const { output } = request;
  await rm(output, { force: true });
  try {
    await copyFile(template.file, output, constants.COPYFILE_FICLONE);
    const handle = await open(output, "r+");
    try {
      await handle.write(program, 0, program.byteLength, template.offset);
      await handle.chmod(0o755);
    } finally {
      await handle.close();
    }
    await request.finish?.(output);
    return { sha256: await digestFile(output), bytes: (await stat(output)).size };
  } catch (error) {
    await rm(output, { force: true });
    throw error;
  }
}

/** The program followed by newlines up to the next multiple of `paddingBytes`. */
export function padProgram(bundle: string): Buffer {
  const bytes = Buffer.byteLength(bundle);
  const padded = Buffer.alloc(Math.ceil((bytes + 1) / paddingBytes) * paddingBytes, "\n");
  padded.write(bundle);
  return padded;
}

interface Template {
  readonly file: string;
  /** Where the program begins. */
  readonly offset: number;
}

async function findTemplate(request: ExecutableRequest, programBytes: number): Promise<Template> {
  const { base, cacheFolder } = request;
  const { size, mtimeMs } = await stat(base.file);
  const identity = JSON.stringify([seaConfig, base.version, base.file, size, mtimeMs, programBytes]);
  const folder = path.join(cacheFolder, "templates", createHash("sha256").update(identity).digest("hex").slice(0, 32));
  const file = path.join(folder, "main");
  try {
    return { file, offset: Number(await readFile(path.join(folder, "offset"), "utf8")) };
  } catch {
    await dropOldTemplates(path.dirname(folder));
    await makeTemplate(folder, base, programBytes);
    return { file, offset: Number(await readFile(path.join(folder, "offset"), "utf8")) };
  }
}

const seaConfig = {
  main: "main.mjs",
  mainFormat: "module",
  output: "main",
  disableExperimentalSEAWarning: true,
  useCodeCache: false,
  useSnapshot: false,
  // Stack traces name the lines of the project's own files.
  execArgv: ["--enable-source-maps"],
} as const;

/** M2 */
async function makeTemplate(folder: string, base: Base, programBytes: number): Promise<void> {
  const parent = path.dirname(folder);
  await mkdir(parent, { recursive: true });
  const temporary = await mkdtemp(path.join(parent, "making-"));
  try {
    const marker = randomBytes(programBytes / 2).toString("hex");
    await writeFile(path.join(temporary, "main.mjs"), marker);
    await buildSea(temporary, base.file);
    const made = await readFile(path.join(temporary, "main"));
    const offset = made.indexOf(marker, 0, "latin1");
    if (offset < 0 || made.indexOf(marker.slice(0, 1024), offset + 1, "latin1") >= 0) {
      throw new SaltError("BuildFailed", `Cannot build: Node ${base.version} stores a program in an unknown way.`);
    }
    await rm(path.join(temporary, "main.mjs"));
    await writeFile(path.join(temporary, "offset"), String(offset));
    await rename(temporary, folder).catch(() => undefined);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** `node --build-sea` of `main.mjs` in a folder, to `main`. Names are relative, for they become part of the bytes. */
export async function buildSea(folder: string, baseFile: string): Promise<void> {
  const node = await findPinnedNode();
  await writeFile(path.join(folder, "sea.json"), JSON.stringify({ ...seaConfig, executable: baseFile }));
  const end = await runProcess([node.file, "--build-sea", "sea.json"], { cwd: folder, timeoutMs: seaTimeoutMs });
  if (end.status !== 0) {
    const why = end.timedOut ? `it took longer than ${seaTimeoutMs / 60_000} minutes` : end.stderr.trim();
    throw new SaltError("BuildFailed", `Cannot build: node --build-sea failed: ${why}`);
  }
}

/** Each is as large as Node: only the newest are kept. */
async function dropOldTemplates(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const aged = await Promise.all(
    names.map(async (name) => ({
      name,
      mtimeMs: (await stat(path.join(folder, name)).catch(() => null))?.mtimeMs ?? 0,
    })),
  );
  aged.sort((a, b) => b.mtimeMs - a.mtimeMs);
  const surplus = aged
    .slice(templatesMax - 1)
    .map(({ name }) => rm(path.join(folder, name), { recursive: true, force: true }));
  await Promise.all(surplus);
}
