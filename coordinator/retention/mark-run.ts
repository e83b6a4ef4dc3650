import { partitionOf, type RunId, taskId, workflowKey } from "#shared/domain/ids.ts";
import { isTerminalRun } from "#shared/domain/states.ts";
import { at, type Decision, type Move, type View } from "../engine/move.ts";
import { countKey, type RunRecord, runKey, runsIndex, type TaskRecord, taskKey } from "../records.ts";
import { endedIndex, neededByIndex, type RemovalRecord, removalKey, removingIndex } from "../state/kept-records.ts";

export interface MarkRun {
  readonly run: RunId;
  readonly keepMs: number;
}

/** A run that may not leave yet is looked at again so long after. */
const lookAgainMs = 10 * 60_000;

const counted = ["calls", "succeeded", "failed", "cancelled"] as const;

/**
 * Begins the removal of a run that ended long enough ago: its record goes, so that for everybody it is not there any
 * more, and a mark comes in its place, by which the rest is removed in steps. A run whose detached calls go on stays, and
 * so does one that is being copied by a retry, or whose calls another run's input refers to.
 */
export const markRun: Move<MarkRun, "marked" | "stays"> = {
  name: "markRun",
  fresh: true,
  bulk: true,
  frees: true,
  reads: ({ run }) => [
    runKey(run),
    taskKey(taskId(run, workflowKey)),
    removalKey(run),
    ...counted.map((what) => countKey(run, what)),
  ],
  decide(view, { run: id, keepMs }) {
    const partition = partitionOf(id);
    const run = view.get<RunRecord>(runKey(id));
    const unranked = { kind: "unrank", index: endedIndex(partition), member: id } as const;
    // Another coordinator has begun it, or the run is open under an id that was used before.
    if (!run || view.get(removalKey(id)) || !isTerminalRun(run.state)) {
      return run && !isTerminalRun(run.state) ? stays([]) : stays([unranked]);
    }
    if (view.nowMs - (run.endedAtMs ?? view.nowMs) < keepMs) return stays([]);
    if (openCalls(view, id) > 0 || isBeingCopied(view, run) || view.unmet) {
      const score = at(Math.round(view.nowMs) - keepMs + lookAgainMs);
      return stays([{ kind: "rank", index: endedIndex(partition), member: id, score }]);
    }
    const refsRun = view.get<TaskRecord>(taskKey(taskId(id, workflowKey)))?.refsRun ?? null;
    const removal: RemovalRecord = { release: run.release, refsRun, steps: 0 };
    return {
      transactions: [
        {
          checks: [{ kind: "fewer", index: neededByIndex(id), than: 1 }],
          writes: [
            { kind: "set", key: removalKey(id), value: removal },
            { kind: "delete", key: runKey(id) },
            { kind: "unrank", index: runsIndex(partition), member: id },
            unranked,
            { kind: "rank", index: removingIndex(partition), member: id, score: at(Math.round(view.nowMs)) },
          ],
        },
      ],
      answer: () => "marked",
    };
  },
};

const stays = (writes: Decision<"stays">["transactions"][number]["writes"]): Decision<"stays"> => ({
  transactions: writes.length > 0 ? [{ checks: [], writes }] : [],
  answer: () => "stays",
});

function openCalls(view: View, run: RunId): number {
  const [calls = 0, ...settled] = counted.map((what) => Number(view.get(countKey(run, what)) ?? 0));
  return calls - settled.reduce((sum, count) => sum + count, 0);
}

/** Calls are copied one after another: until the copy begins, those that are not yet are needed. */
function isBeingCopied(view: View, run: RunRecord): boolean {
  if (run.next === null) return false;
  return view.get<TaskRecord>(taskKey(taskId(run.next, workflowKey)))?.state === "waiting";
}
