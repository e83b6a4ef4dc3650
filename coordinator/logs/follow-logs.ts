import type { CallKey, RunId } from "#shared/domain/ids.ts";
import type { LogRow } from "#shared/protocol/api.ts";
import { type ReadLogsDeps, readLogs } from "./read-logs.ts";

export interface FollowLogsDeps extends ReadLogsDeps {
  /** Answers when the run has ended, so that nothing more is to come but what is under way. */
  readonly hasEnded: (run: RunId) => Promise<boolean>;
  /** Waits until there may be more, at most `forMs`. */
  readonly waitForMore: (run: RunId, forMs: number, signal: AbortSignal) => Promise<void>;
}

/** How often a log is looked at although no hint came. */
const lookEveryMs = 1_000;
/** How long a run's log is still looked at after the run ended: chunks may arrive behind the report. */
const quietMs = 300;
const pageRows = 200;

/** Pages of rows after a position as they come, until the run has ended and all is given, or `signal` aborts. */
export async function* followLogs(
  deps: FollowLogsDeps,
  query: { readonly run: RunId; readonly key?: CallKey; readonly after: number },
  signal: AbortSignal,
): AsyncGenerator<readonly LogRow[]> {
  const { run, key } = query;
  let { after } = query;
  let quiet = false;
  while (!signal.aborted) {
    // Asked before reading: rows that came before the end are then all seen.
    const ended = await deps.hasEnded(run);
    const rows = await readLogs(deps, { run, ...(key === undefined ? {} : { key }), after, limit: pageRows });
    const last = rows.at(-1);
    if (last) {
      after = last.position;
      quiet = false;
      yield rows;
      continue;
    }
    if (ended && quiet) return;
    quiet = ended;
    await deps.waitForMore(run, ended ? quietMs : lookEveryMs, signal);
  }
}
