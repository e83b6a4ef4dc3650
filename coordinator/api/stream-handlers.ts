import { type CallKey, keyOfTask, type RunId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTerminalRun } from "#shared/domain/states.ts";
import type { JournalRow, LogRow, ProgressEvent } from "#shared/protocol/api.ts";
import type { LogEntry } from "../engine/engine.ts";
import type { Said } from "../progress.ts";
import { journalLog } from "../records.ts";
import { findRunId, readRun } from "./find-run.ts";
import type { ApiDeps, Handlers } from "./handlers.ts";
import { Pace } from "./pace.ts";
import { isOurs } from "./problem.ts";
import { ProgressFeed } from "./progress-feed.ts";
import { positionAfter, type SseEvent, streamEvents } from "./sse.ts";
import { progressView } from "./views.ts";

type StreamHandlers = Pick<Handlers, "readJournal" | "followJournal" | "readLogs" | "followLogs">;

const pageRows = 200;
/** How often a journal is looked at although no hint came. */
const lookEveryMs = 1_000;

/** Journals and logs, by page and as they grow. */
export function streamHandlers(deps: ApiDeps): StreamHandlers {
  return {
    async readJournal({ params, query }) {
      const { id } = await readRun(deps.engine, await findRunId(deps, params.run));
      const entries = await deps.engine.read(journalLog(id), query.after, query.limit, limits.journalPageBytes);
      return { rows: entries.map(journalRow), cursor: cursorOf(entries) };
    },

    async followJournal({ params, query, raw, requestId }) {
      const { id } = await readRun(deps.engine, await findRunId(deps, params.run));
      const after = positionAfter(raw, query.after);
      return streamEvents(streamDeps(deps, requestId), (signal) => followJournal(deps, id, after, signal));
    },

    async readLogs({ params, query }) {
      const { id: run } = await readRun(deps.engine, await findRunId(deps, params.run));
      const { after, limit } = query;
      const rows = await deps.logs.readLogs({ run, ...keyOf(query.task), after, limit });
      return { rows: [...rows], cursor: cursorOf(rows) };
    },

    async followLogs({ params, query, raw, requestId }) {
      const { id: run } = await readRun(deps.engine, await findRunId(deps, params.run));
      const after = positionAfter(raw, query.after);
      const pages = (signal: AbortSignal) => deps.logs.followLogs({ run, ...keyOf(query.task), after }, signal);
      return streamEvents(streamDeps(deps, requestId), (signal) => logEvents(pages(signal)));
    },
  };
}

/** What fails once the headers are sent is told to whom other requests' errors are told. */
const streamDeps = ({ clock, onError }: ApiDeps, requestId: string) => ({
  clock,
  onError(error: unknown) {
    if (isOurs(error)) onError?.(error, requestId);
  },
});

const keyOf = (key: CallKey | undefined): { readonly key?: CallKey } => (key === undefined ? {} : { key });

/** Where the next page begins: `after` is a position here, so the cursor is one in plain sight. */
const cursorOf = (rows: readonly { readonly position: number }[]): string | null => {
  const last = rows.at(-1);
  return last ? String(last.position) : null;
};

const journalRow = ({ position, atMs, value }: LogEntry): JournalRow => ({ position, atMs, ...JSON.parse(value) });

const progressEvent = (said: Said): ProgressEvent => ({ key: keyOfTask(said.task), ...progressView(said) });

/** Entries as they come, those of a busy run some at a time. */
async function* followJournal(
  deps: ApiDeps,
  run: RunId,
  from: number,
  signal: AbortSignal,
): AsyncGenerator<readonly SseEvent[]> {
  // Who comes after the end is given what there is, and no more will come.
  let ended = isTerminalRun((await readRun(deps.engine, run)).state);
  const progress = new ProgressFeed(deps, run);
  const pace = new Pace(deps.clock);
  let after = from;
  let quiet = false;
  let grew: Promise<void> | null = null;
  while (!signal.aborted) {
    // The hint is asked for before looking, so that nothing falls in between.
    grew ??= waitForNews(deps, run, progress, signal);
    const entries = await deps.engine.read(journalLog(run), after, pageRows, limits.journalPageBytes);
    if (entries.length > 0) {
      quiet = false;
      const rows = entries.map(journalRow);
      after = rows.at(-1)?.position ?? after;
      yield rows.map((row) => ({ id: String(row.position), event: "entry", data: row }));
      if (rows.some((row) => row.e === "ended")) return;
    } else {
      if (ended) return;
      // Who follows from behind the end is given no last entry: the run's record tells.
      ended = quiet && isTerminalRun((await readRun(deps.engine, run)).state);
      if (ended) continue;
      quiet = true;
      const said = progress.take();
      if (said.length > 0)
        yield said.map((one) => ({ id: String(after), event: "progress", data: progressEvent(one) }));
      await grew;
      grew = null;
      await pace.next();
    }
  }
}

/** Until the journal may have grown, or there is progress to tell. */
async function waitForNews(deps: ApiDeps, run: RunId, progress: ProgressFeed, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const stop = () => over.abort();
  const timer = deps.clock.after(lookEveryMs, stop);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const aborted = new Promise<void>((resolve) => over.signal.addEventListener("abort", () => resolve()));
    await Promise.race([deps.runs.journalGrew(run, over.signal), progress.wait(over.signal), aborted]);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", stop);
    over.abort();
  }
}

/** Rows of one position are one event, so that a client that comes back neither misses nor repeats any of them. */
async function* logEvents(pages: AsyncGenerator<readonly LogRow[]>): AsyncGenerator<readonly SseEvent[]> {
  for await (const rows of pages) {
    const groups = Map.groupBy(rows, ({ position }) => position);
    yield [...groups].map(([position, data]) => ({ id: String(position), event: "log", data }));
  }
}
