import type { JournalRow } from "#shared/protocol/api.ts";
import { cleanLine } from "../clean-text.ts";
import { durationText } from "../duration.ts";

/** A journal entry as one line for people, or null for those that say nothing new. */
export function journalLine(row: JournalRow): string | null {
  const key = cleanLine(row.key ?? "");
  const name = cleanLine(row.name ?? "");
  const why = row.failure === undefined ? "" : `: ${cleanLine(row.failure.type)}: ${cleanLine(row.failure.message)}`;
  switch (row.e) {
    case "called":
      return row.kind === "task" || row.kind === "workflow" ? `${key} called` : `${key} waits (${row.kind})`;
    case "settled":
      return `${key} ${row.outcome ?? ""}${why}`;
    case "retried":
      return `${key} failed${why}; again in ${durationText(row.delayMs ?? 0)}`;
    case "signal":
      return `signal ${name} came`;
    case "cancel":
      return "cancel was asked for";
    case "ended":
      return `run ${row.state ?? "ended"}${why}`;
    default:
      return null;
  }
}
