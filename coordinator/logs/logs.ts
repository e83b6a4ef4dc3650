import type { CallKey, RunId } from "#shared/domain/ids.ts";
import { runOfTask } from "#shared/domain/ids.ts";
import { isTerminalRun } from "#shared/domain/states.ts";
import type { Clock } from "#shared/ports.ts";
import type { AttemptName, LogChunk } from "#shared/protocol/agent.ts";
import type { LogRow } from "#shared/protocol/api.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import type { Mover } from "../engine/move.ts";
import { type RunRecord, runKey } from "../records.ts";
import { appendLogs } from "./append-logs.ts";
import { followLogs } from "./follow-logs.ts";
import { createReadArchive } from "./read-archive.ts";
import { type LogsQuery, readLogs } from "./read-logs.ts";

export interface LogsDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly clock: Clock;
  /** Where archived logs are. */
  readonly blobs: BlobStore;
  /** Default: `limits.logBytesPerTaskMax`. */
  readonly logBytesPerTaskMax?: number;
}

export interface Logs {
  /** Another coordinator appended to a run's logs. */
  onGrown(run: RunId): void;
  appendLogs(chunks: readonly LogChunk[]): Promise<{ readonly stale: readonly AttemptName[] }>;
  readLogs(query: LogsQuery): Promise<readonly LogRow[]>;
  followLogs(
    query: { readonly run: RunId; readonly key?: CallKey; readonly after: number },
    signal: AbortSignal,
  ): AsyncGenerator<readonly LogRow[]>;
}

/** The tasks' output. What is appended wakes who follows it; a lost hint costs a second. */
export function createLogs(given: LogsDeps): Logs {
  const deps = { ...given, readArchive: createReadArchive(given.blobs) };
  const followers = new Map<RunId, Set<() => void>>();
  const waitForMore = (run: RunId, forMs: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const wakes = followers.get(run) ?? new Set();
      followers.set(run, wakes);
      const wake = () => {
        timer.cancel();
        signal.removeEventListener("abort", wake);
        wakes.delete(wake);
        if (wakes.size === 0 && followers.get(run) === wakes) followers.delete(run);
        resolve();
      };
      const timer = deps.clock.after(forMs, wake);
      wakes.add(wake);
      signal.addEventListener("abort", wake);
      if (signal.aborted) wake();
    });
  const onGrown = (run: RunId) => {
    for (const wake of followers.get(run) ?? []) wake();
  };
  return {
    onGrown,
    async appendLogs(chunks) {
      const answer = await appendLogs(deps, chunks);
      for (const run of new Set(chunks.map(({ task }) => runOfTask(task)))) onGrown(run);
      return answer;
    },
    readLogs: (query) => readLogs(deps, query),
    followLogs: (query, signal) =>
      followLogs({ ...deps, hasEnded: (run) => hasEnded(deps.engine, run), waitForMore }, query, signal),
  };
}

async function hasEnded(engine: Engine, run: RunId): Promise<boolean> {
  const { found } = await engine.get([runKey(run)]);
  const value = found[0]?.value;
  return value === null || value === undefined || isTerminalRun((JSON.parse(value) as RunRecord).state);
}
