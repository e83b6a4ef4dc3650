import type { RunId } from "#shared/domain/ids.ts";
import type { Engine, LogEntry } from "../engine/engine.ts";
import { journalLog } from "../records.ts";

const entriesPerPage = 5_000;

/** A run's journal after a position, to its end. It has a bound: that of the calls that a run may make. */
export async function readJournal(engine: Engine, run: RunId, from = 0): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for (let after = from; ; after = entries.at(-1)?.position ?? from) {
    const page = await engine.read(journalLog(run), after, entriesPerPage);
    entries.push(...page);
    if (page.length < entriesPerPage) return entries;
  }
}
