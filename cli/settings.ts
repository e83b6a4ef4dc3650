/**
 * Which coordinator (or several of one Salt, by comma), and with which token. Settings come from: flag > environment > project file > profile > default.
 *
 * S1  A URL that a folder names is only ever given the token of that same file (or of a flag): a token from the
 *     environment or a profile does not follow a URL that came with a project.
 * S2  The project file is `.salt/dev.json`, which `salt dev` writes, and counts only with a loopback URL.
 */
import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { SaltError } from "#shared/domain/errors.ts";
import { readContexts } from "./contexts.ts";
import { didYouMean } from "./nearest.ts";

export const defaultUrl = "http://127.0.0.1:7420";

export interface Flags {
  readonly url?: string | undefined;
  readonly token?: string | undefined;
  readonly context?: string | undefined;
}

export interface Setting {
  readonly value: string;
  readonly origin: string;
}

export interface Settings {
  readonly url: Setting;
  readonly token: Setting | null;
  /** Further coordinators over the same stores, for when the first cannot be reached. */
  readonly others?: readonly string[];
}

export interface SettingsDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

interface Candidate {
  readonly level: "flag" | "environment" | "project" | "profile" | "default";
  readonly origin: string;
  readonly url: string | undefined;
  readonly token?: string | undefined;
}

export async function readSettings(deps: SettingsDeps, flags: Flags): Promise<Settings> {
  const candidates = await findCandidates(deps, flags);
  const chosen = candidates.find((candidate) => candidate.url !== undefined);
  const origin = chosen?.origin ?? "default";
  const [url = defaultUrl, ...others] = (chosen?.url ?? defaultUrl)
    .split(",")
    .map((one) => checkUrl(one.trim(), origin));
  return { url: { value: url, origin }, token: pickToken(deps, flags, candidates, chosen), others };
}

async function findCandidates(deps: SettingsDeps, flags: Flags): Promise<Candidate[]> {
  const { env, cwd } = deps;
  const { current, contexts } = await readContexts(env);
  const context = (level: Candidate["level"], origin: string, name: string | null | undefined): Candidate => {
    if (!name) return { level, origin, url: undefined };
    const found = Object.hasOwn(contexts, name) ? contexts[name] : undefined;
    if (found) return { level, origin, url: found.url, token: found.token };
    throw new SaltError(
      "BadRequest",
      `There is no context '${name}' (${origin}).${didYouMean(name, Object.keys(contexts))}`,
      {
        next: "salt context list",
      },
    );
  };
  return [
    { level: "flag", origin: "flag --url", url: flags.url },
    context("flag", `flag --context ${flags.context ?? ""}`, flags.context),
    { level: "environment", origin: "SALT_URL", url: env.SALT_URL || undefined },
    context("environment", "SALT_CONTEXT", env.SALT_CONTEXT),
    await projectCandidate(cwd),
    context("profile", `context ${current ?? ""}`, current),
    { level: "default", origin: "default", url: defaultUrl },
  ];
}

function pickToken(
  deps: SettingsDeps,
  flags: Flags,
  candidates: readonly Candidate[],
  chosen: Candidate | undefined,
): Setting | null {
  if (flags.token) return { value: flags.token, origin: "flag --token" };
  const own = chosen?.token === undefined ? null : { value: chosen.token, origin: chosen.origin };
  if (own && chosen?.level === "flag") return own;
  // S1
  if (deps.env.SALT_TOKEN && chosen?.level !== "project") return { value: deps.env.SALT_TOKEN, origin: "SALT_TOKEN" };
  if (own) return own;
  const same = candidates.find((candidate) => candidate.url === chosen?.url && candidate.token !== undefined);
  return same?.token === undefined ? null : { value: same.token, origin: same.origin };
}

function checkUrl(text: string, origin: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url && (url.protocol === "http:" || url.protocol === "https:") && !url.username) {
    return url.href.replace(/\/+$/, "");
  }
  throw new SaltError("BadRequest", `'${text}' (${origin}) is no address of a coordinator.`, {
    next: `write it as ${defaultUrl} or https://salt.example.org`,
  });
}

const devFileSchema = z.object({ url: z.string(), token: z.string() });

export const devFileName = path.join(".salt", "dev.json");

/** S2: of the folder or the nearest one above it. */
async function projectCandidate(cwd: string): Promise<Candidate> {
  for (let folder = cwd; ; folder = path.dirname(folder)) {
    const file = path.join(folder, devFileName);
    try {
      const { url, token } = devFileSchema.parse(JSON.parse(await readFile(file, "utf8")));
      if (isLoopback(url)) return { level: "project", origin: path.relative(cwd, file) || file, url, token };
    } catch {
      // Absent, or not a file of ours: look further up.
    }
    if (path.dirname(folder) === folder) return { level: "project", origin: "", url: undefined };
  }
}

const isLoopback = (url: string): boolean =>
  URL.canParse(url) && ["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname);
