import { keyOfTask, partitionOf, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { AttemptName, LogChunk } from "#shared/protocol/agent.ts";
import { leaseKey } from "../engine/engine.ts";
import { type DraftWrite, inMs, type Move, type Mover } from "../engine/move.ts";
import { outputLog } from "../records.ts";
import {
  entriesBefore,
  type LogPointer,
  type LogRecord,
  liveLogsIndex,
  runOutputLog,
  type TaskLogRecord,
  taskLogKey,
} from "../state/log-records.ts";
import { bytesOf, encodeBytes } from "./chunk-bytes.ts";

/**
 * Appends what agents sent of their tasks' output.
 *
 * L1  A chunk is known by (task, fence, stream, offset): what of it is already there is not kept again (C15).
 * L2  Only the newest attempt of a task writes: a chunk under another fence than the lease's is stale (C11).
 * L3  A task keeps at most `limits.logBytesPerTaskMax` over all its attempts; where that is reached, the log says `cut`
 *     once an attempt and drops the rest.
 */
interface TaskChunks {
  readonly task: TaskId;
  readonly chunks: readonly LogChunk[];
  readonly bytesMax: number;
}

type AttemptLog = TaskLogRecord["attempts"][number];

const attemptsKeptMax = 10;
const none: TaskLogRecord = { entries: 0, bytes: 0, attempts: [] };

/** Answers the fences that are stale. */
const appendMove: Move<TaskChunks, readonly number[]> = {
  name: "appendLogs",
  // What it answers without writing must not rest on a record that another coordinator has changed.
  fresh: true,
  reads: ({ task }) => [leaseKey(partitionOf(runOfTask(task)), task), taskLogKey(task)],
  decide(view, { task, chunks, bytesMax }) {
    const newest = Number(view.stamp(leaseKey(partitionOf(runOfTask(task)), task)) ?? 0);
    const stale = [...new Set(chunks.map(({ fence }) => fence).filter((fence) => fence !== newest))];
    const mine = chunks.filter(({ fence }) => fence === newest);
    const before = view.get<TaskLogRecord>(taskLogKey(task)) ?? none;
    const { after, entries } = append(before, newest, mine, bytesMax);
    if (entries.length === 0 && after === before) return { transactions: [], answer: () => stale };
    const writes: DraftWrite[] = [{ kind: "set", key: taskLogKey(task), value: after }];
    if (entries.length > 0 && before.entries === entriesBefore(before)) {
      writes.push({ kind: "rank", index: liveLogsIndex(partitionOf(runOfTask(task))), member: task, score: inMs(0) });
    }
    for (const entry of entries) writes.push({ kind: "append", log: outputLog(task), value: JSON.stringify(entry) });
    if (entries.length > 0) {
      const pointer: LogPointer = { key: keyOfTask(task), first: before.entries + 1, last: after.entries };
      writes.push({ kind: "append", log: runOutputLog(runOfTask(task)), value: JSON.stringify(pointer) });
    }
    return { transactions: [{ checks: [], writes }], answer: () => stale };
  },
};

function append(
  before: TaskLogRecord,
  fence: number,
  chunks: readonly LogChunk[],
  bytesMax: number,
): { readonly after: TaskLogRecord; readonly entries: readonly LogRecord[] } {
  const known = before.attempts.find((attempt) => attempt.fence === fence);
  const ends = { stdout: known?.stdout ?? 0, stderr: known?.stderr ?? 0 };
  let cut = known?.cut ?? false;
  let bytes = before.bytes;
  const entries: LogRecord[] = [];
  for (const chunk of chunks) {
    const whole = bytesOf(chunk);
    const end = chunk.offset + whole.length;
    if (end <= ends[chunk.stream] && !(chunk.cut && !cut)) continue;
    const fresh = whole.subarray(Math.max(0, ends[chunk.stream] - chunk.offset));
    ends[chunk.stream] = Math.max(end, ends[chunk.stream]);
    if (cut) continue;
    const kept = fresh.subarray(0, Math.max(0, bytesMax - bytes));
    cut = chunk.cut === true || kept.length < fresh.length;
    bytes += kept.length;
    entries.push({
      n: before.entries + entries.length + 1,
      fence,
      stream: chunk.stream,
      offset: end - fresh.length,
      ...encodeBytes(kept),
      atMs: chunk.atMs,
      ...(cut ? { cut: true as const } : {}),
    });
  }
  const attempt: AttemptLog = { fence, ...ends, cut };
  const unchanged = known
    ? known.stdout === ends.stdout && known.stderr === ends.stderr && known.cut === cut
    : chunks.length === 0;
  if (unchanged) return { after: before, entries };
  const others = before.attempts.filter((other) => other.fence !== fence);
  const attempts = [...others, attempt].slice(-attemptsKeptMax);
  return { after: { ...before, entries: before.entries + entries.length, bytes, attempts }, entries };
}

/** Chunks of one task in the order sent go into one move; the moves of different tasks share commits. */
export async function appendLogs(
  deps: { readonly mover: Mover; readonly logBytesPerTaskMax?: number },
  chunks: readonly LogChunk[],
): Promise<{ readonly stale: readonly AttemptName[] }> {
  const byTask = Map.groupBy(chunks, ({ task }) => task);
  const bytesMax = deps.logBytesPerTaskMax ?? limits.logBytesPerTaskMax;
  const parts = await Promise.all(
    [...byTask].map(async ([task, mine]) => {
      const fences = await deps.mover.move(partitionOf(runOfTask(task)), appendMove, { task, chunks: mine, bytesMax });
      return fences.map((fence) => ({ task, fence }));
    }),
  );
  return { stale: parts.flat() };
}
