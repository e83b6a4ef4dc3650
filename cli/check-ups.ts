import { stat, statfs } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { cacheFolder } from "./build/cache-folder.ts";
import { firstInterpreter } from "./build/python/find-interpreters.ts";
import { findPinnedNode } from "./build/typescript/find-base.ts";
import { bytesText } from "./bytes-text.ts";
import { type Client, createClient } from "./client.ts";
import { contextsFile } from "./contexts.ts";
import { durationText } from "./duration.ts";
import { isExecutable } from "./installation.ts";
import { readS3 } from "./s3-flags.ts";
import type { Settings } from "./settings.ts";
import { saltVersion } from "./version.ts";

export interface CheckUp {
  readonly name: string;
  readonly state: "fine" | "warns" | "fails" | "skipped";
  readonly finding: string;
  readonly next?: string;
}

export interface CheckUpDeps {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly nowMs: () => number;
}

const freeBytesMin = 2 * 1024 ** 3;
const skewMsMax = 30_000;

/** All checks, in the order in which one relies on the one before. */
export async function runCheckUps(deps: CheckUpDeps, settings: Settings): Promise<CheckUp[]> {
  const client = createClient(settings);
  const forBuilds = isExecutable ? checkPython(deps) : checkPinnedNode();
  const local = [checkNode(), forBuilds, checkContextsFile(deps), checkSpace(deps)];
  const results = (await Promise.all(local)).filter((result) => result !== null);
  results.push(...(await checkRedis(deps)), ...(await checkBlobStore(deps)));
  const reached = await checkCoordinator(deps, client, settings);
  results.push(...reached);
  if (reached.some((result) => result.state === "fails")) return results;
  results.push(await checkToken(client, settings), await checkAgents(client, settings));
  return results;
}

async function checkNode(): Promise<CheckUp> {
  return { name: "node", state: "fine", finding: `${process.version} at ${process.execPath}` };
}

async function checkPinnedNode(): Promise<CheckUp> {
  const name = "node for builds";
  try {
    const { file, version } = await findPinnedNode();
    return { name, state: "fine", finding: `${version} at ${file}` };
  } catch (error) {
    return failed(name, error);
  }
}

/** What a `salt` that came without npm builds with. */
async function checkPython({ env }: CheckUpDeps): Promise<CheckUp> {
  const name = "Python for builds";
  try {
    const { version, file } = await firstInterpreter(env);
    return { name, state: "fine", finding: `${version} at ${file}` };
  } catch (error) {
    return failed(name, error);
  }
}

async function checkContextsFile(deps: CheckUpDeps): Promise<CheckUp | null> {
  const file = contextsFile(deps.env);
  const found = await stat(file).catch(() => null);
  if (found === null || process.platform === "win32") return null;
  const open = (found.mode & 0o077) !== 0;
  const finding = `${file} is ${open ? "readable by others" : "yours alone"}`;
  return { name: "contexts", state: open ? "fails" : "fine", finding, ...(open ? { next: `chmod 600 ${file}` } : {}) };
}

async function checkSpace(deps: CheckUpDeps): Promise<CheckUp> {
  const name = "disk space";
  for (let folder = cacheFolder(deps.env); ; folder = path.dirname(folder)) {
    try {
      const { bavail, bsize } = await statfs(folder);
      const free = bavail * bsize;
      const finding = `${bytesText(free)} free for ${cacheFolder(deps.env)}`;
      if (free >= freeBytesMin) return { name, state: "fine", finding };
      return { name, state: "warns", finding, next: "free some, or set SALT_CACHE to a folder on another disk" };
    } catch (error) {
      if (path.dirname(folder) === folder) return failed(name, error);
    }
  }
}

/** Reachable, of this version, and with a clock like ours. */
async function checkCoordinator(deps: CheckUpDeps, client: Client, settings: Settings): Promise<CheckUp[]> {
  const name = "coordinator";
  try {
    const startMs = deps.nowMs();
    const answer = await client.open("health");
    const tookMs = deps.nowMs() - startMs;
    answer.resume();
    const { version } = await client.call("health");
    const place = `${settings.url.value} (from: ${settings.url.origin})`;
    const same = version === saltVersion;
    return [
      { name, state: "fine", finding: `${place} answers in ${durationText(tookMs)}` },
      {
        name: "versions",
        state: same ? "fine" : "warns",
        finding: `coordinator ${version}, this salt ${saltVersion}`,
        ...(same ? {} : { next: "use the same version on both sides" }),
      },
      checkSkew(answer.headers.date, startMs + tookMs / 2),
    ];
  } catch (error) {
    return [failed(name, error)];
  }
}

/** By the answer's `Date`, which counts whole seconds. */
function checkSkew(date: string | undefined, nowMs: number): CheckUp {
  const name = "clocks";
  if (date === undefined) return { name, state: "skipped", finding: "the coordinator did not say its time" };
  const skewMs = Math.max(0, Math.abs(Date.parse(date) + 500 - nowMs) - 500);
  if (skewMs <= skewMsMax) return { name, state: "fine", finding: "this machine and the coordinator agree" };
  return {
    name,
    state: "warns",
    finding: `this machine and the coordinator differ by ${durationText(skewMs)}`,
    next: "let both follow a time server; webhooks and times shown go wrong",
  };
}

/** The Redis that a coordinator started here would use, and so only where one is named. */
async function checkRedis({ env }: CheckUpDeps): Promise<CheckUp[]> {
  const name = "redis";
  if (!env.SALT_REDIS_URL) return [];
  try {
    const { checkRedisStore } = await import("#coordinator/check-stores.ts");
    const findings = await checkRedisStore(env.SALT_REDIS_URL, { clock: systemClock, random: systemRandom });
    return findings.map((found) => ({ name, ...found }));
  } catch (error) {
    return [failed(name, error)];
  }
}

/** The bucket that a coordinator started here would use, and so only where one is named. */
async function checkBlobStore(deps: CheckUpDeps): Promise<CheckUp[]> {
  const name = "blob store";
  try {
    const s3 = readS3(deps, {});
    if (s3 === undefined) return [];
    const { checkS3Store } = await import("#coordinator/check-stores.ts");
    const findings = await checkS3Store(s3, { clock: systemClock, random: systemRandom });
    return findings.map((found) => ({ name, ...found }));
  } catch (error) {
    return [failed(name, error)];
  }
}

async function checkToken(client: Client, settings: Settings): Promise<CheckUp> {
  const name = "token";
  try {
    await client.call("listRuns", { query: { limit: 1 } });
    return { name, state: "fine", finding: `is accepted (from: ${settings.token?.origin ?? "nowhere"})` };
  } catch (error) {
    return failed(name, error);
  }
}

async function checkAgents(client: Client, settings: Settings): Promise<CheckUp> {
  const name = "agents";
  if (settings.token === null) return { name, state: "skipped", finding: "there is no token to ask with" };
  try {
    const { rows } = await client.call("listAgents", { query: { limit: 500 } });
    const connected = rows.filter((row) => row.connected).length;
    if (connected > 0) return { name, state: "fine", finding: `${connected} connected` };
    return { name, state: "warns", finding: "none connected: runs will wait", next: "salt agent starts one" };
  } catch (error) {
    return failed(name, error);
  }
}

function failed(name: string, error: unknown): CheckUp {
  const next = error instanceof SaltError ? error.next : undefined;
  return { name, state: "fails", finding: (error as Error).message, ...(next === undefined ? {} : { next }) };
}
