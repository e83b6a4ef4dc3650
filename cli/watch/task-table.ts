import type { Ansis } from "ansis";
import { cleanLine } from "../clean-text.ts";
import { durationText } from "../duration.ts";
import { type Column, cutText, paintStatus, tableLines } from "../output.ts";
import { bar } from "../progress-line.ts";
import { progressText } from "../progress-text.ts";
import type { CallProgress, RunProgress } from "./run-progress.ts";

export interface TableView {
  readonly width: number;
  /** Lines that the table may take, in all. */
  readonly height: number;
  readonly nowMs: number;
  readonly colours: Ansis;
}

/** The live table: one line a call while they fit, else one line a name; and a line for the whole run. */
export function taskTable(title: string, progress: RunProgress, view: TableView): string[] {
  const { calls } = progress;
  const room = Math.max(3, view.height - 3);
  const rows = calls.length <= room ? callLines(progress, view) : nameLines(calls, view, room);
  return [...rows, summaryLine(title, progress, calls, view)];
}

function callLines({ calls, ended }: RunProgress, view: TableView): string[] {
  if (calls.length === 0) return [];
  const columns: Column<CallProgress>[] = [
    { title: "CALL", text: (call) => call.key },
    {
      title: "STATE",
      text: (call) => stateText(call, ended?.state ?? null),
      paint: (colours, text) => paintStatus(colours, text),
    },
    { title: "TIME", text: (call) => durationText((call.endedAtMs ?? view.nowMs) - call.openedAtMs), align: "right" },
    { title: "", text: (call) => (call.failed === 0 ? "" : `failed ${call.failed}×`) },
    { title: "", text: (call) => (ended === null ? saidText(call) : "") },
  ];
  return tableLines(calls, columns, view);
}

function saidText({ said, waits }: CallProgress): string {
  if (said === null) return cleanLine(waits ?? "");
  return said.fraction === null ? progressText(said) : `${bar(said.fraction, 8)} ${progressText(said)}`;
}

/** Calls that the run's end left open are not settled by it: they are cancelled, or go on where they are detached. */
function stateText(call: CallProgress, runEnded: string | null): string {
  if (runEnded !== null && call.endedAtMs === null) return runEnded === "cancelled" ? "cancelled" : "left open";
  if (call.state !== "open") return call.state;
  if (call.waits !== null) return "waiting";
  return call.kind === "task" || call.kind === "workflow" ? "running" : "waiting";
}

function nameLines(calls: readonly CallProgress[], view: TableView, room: number): string[] {
  const groups = Map.groupBy(calls, (call) => call.name);
  const rows = [...groups].map(([name, group]) => ({
    name,
    total: group.length,
    ended: group.filter((call) => call.endedAtMs !== null).length,
    failed: group.filter((call) => call.state === "failed").length,
    retries: group.reduce((sum, call) => sum + call.failed, 0),
  }));
  const columns: Column<(typeof rows)[number]>[] = [
    { title: "NAME", text: (row) => row.name },
    { title: "", text: (row) => bar(row.ended / row.total, 16) },
    { title: "DONE", text: (row) => `${row.ended} of ${row.total}`, align: "right" },
    { title: "", text: (row) => (row.failed === 0 ? "" : `${row.failed} failed`), paint: (c, text) => c.red(text) },
    { title: "", text: (row) => (row.retries === 0 ? "" : `${row.retries} retries`) },
  ];
  return tableLines(rows.slice(0, room - 1), columns, view);
}

function summaryLine(title: string, progress: RunProgress, calls: readonly CallProgress[], view: TableView): string {
  const ended = calls.filter((call) => call.endedAtMs !== null).length;
  const tookMs = (progress.ended?.atMs ?? view.nowMs) - (progress.openedAtMs ?? view.nowMs);
  const state = progress.ended?.state ?? "running";
  const text = `${title}  ${ended} of ${calls.length} calls  ${durationText(tookMs)}`;
  return `${paintStatus(view.colours, state)}  ${cutText(text, view.width - state.length - 3)}`;
}
