import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { SaltError } from "#shared/domain/errors.ts";

const contextsSchema = z.object({
  current: z.string().nullable(),
  contexts: z.record(z.string(), z.object({ url: z.string(), token: z.string().optional() })),
});
export type Contexts = z.infer<typeof contextsSchema>;

/** The file of this user's coordinators and their tokens: `SALT_CONFIG`, or `salt/contexts.json` in the user's configuration. */
export function contextsFile(env: NodeJS.ProcessEnv): string {
  if (env.SALT_CONFIG) return path.resolve(env.SALT_CONFIG);
  return path.join(env.XDG_CONFIG_HOME || path.join(homedir(), ".config"), "salt", "contexts.json");
}

/** No file: no contexts. */
export async function readContexts(env: NodeJS.ProcessEnv): Promise<Contexts> {
  const file = contextsFile(env);
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw new SaltError("BadRequest", `Cannot read the contexts in ${file}: ${error.message}.`);
  });
  if (text === null) return { current: null, contexts: {} };
  try {
    return contextsSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new SaltError("BadRequest", `Cannot read the contexts in ${file}: it is not what salt wrote there.`, {
      next: `correct or delete ${file}`,
      cause,
    });
  }
}

/** Written whole, readable by its owner alone: tokens are in it. */
export async function writeContexts(env: NodeJS.ProcessEnv, contexts: Contexts): Promise<void> {
  await writePrivate(contextsFile(env), `${JSON.stringify(contexts, null, 2)}\n`);
}

export async function writePrivate(file: string, text: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  // A file left behind would keep its own mode.
  await rm(`${file}.partial`, { force: true });
  await writeFile(`${file}.partial`, text, { mode: 0o600 });
  await rename(`${file}.partial`, file);
}
