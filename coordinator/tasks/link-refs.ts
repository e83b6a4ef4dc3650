import type { Failure } from "#shared/domain/errors.ts";
import { type CallKey, partitionOf, type RunId, runOfTask, type TaskId, taskId } from "#shared/domain/ids.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import { at, type Move, type Mover } from "../engine/move.ts";
import { dependentsIndex, edgesIndex, type LinkRecord, linkKey, type TaskRecord, taskKey } from "../records.ts";
import { Change } from "../state/change.ts";
import { failWaiting } from "../state/fail-waiting.ts";
import { endLinking } from "../state/links.ts";
import { type ReadRefs, readRefList } from "../state/ref-list.ts";
import { dependencyFailed, readyUnlessHeld } from "../state/settle-call.ts";

export interface LinkDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly blobs: BlobStore;
}

/** Refs that one move looks at: it writes two edges for each. */
const refsPerMove = 100;

interface LinkSome {
  readonly task: TaskId;
  /** The run whose calls are referred to. */
  readonly run: RunId;
  readonly from: number;
  readonly keys: readonly CallKey[];
  readonly last: boolean;
  /** Why the refs cannot be had. */
  readonly failure: Failure | null;
}

/**
 * Writes the edges of some refs. Each ref's record is checked to be as it was seen: one that settles meanwhile makes the
 * move decide again, one that settles afterwards finds the edge (C4).
 */
const linkSome: Move<LinkSome, { readonly linked: number } | "done"> = {
  name: "linkSome",
  bulk: true,
  reads: ({ task, run, keys }) => [linkKey(task), taskKey(task), ...keys.map((key) => taskKey(taskId(run, key)))],
  decide(view, { task: id, run, from, keys, last, failure }) {
    const link = view.get<LinkRecord>(linkKey(id));
    if (!link) return { transactions: [], answer: () => "done" };
    const change = new Change(view);
    const task = view.get<TaskRecord>(taskKey(id));
    const ended = task?.state !== "waiting";
    if (!ended && link.linked !== from) return { transactions: [], answer: () => ({ linked: link.linked }) };
    const why = ended
      ? null
      : (failure ??
        linkAll(
          change,
          id,
          keys.map((key) => taskId(run, key)),
        ));
    if (!ended && !why && !last) {
      const linked = from + keys.length;
      change.set(linkKey(id), { ...link, linked });
      return { transactions: change.drafts(), answer: () => ({ linked }) };
    }
    endLinking(change, id);
    if (task && why) failWaiting(change, task, why);
    else if (task && !ended) readyUnlessHeld(change, task);
    return { transactions: change.drafts(), answer: () => "done" };
  },
};

/** Answers why the task fails, when one of the refs has ended without an output. */
function linkAll(change: Change, waiting: TaskId, refs: readonly TaskId[]): Failure | null {
  for (const ref of refs) {
    const given = change.get<TaskRecord>(taskKey(ref));
    if (!given)
      return invalid(`the input refers to '${ref.slice(ref.indexOf("/") + 1)}', which its run has not called`);
    if (given.state === "succeeded") continue;
    if (isTerminalTask(given.state)) return dependencyFailed(given);
    change.rank(edgesIndex(waiting), ref, at(0));
    change.rank(dependentsIndex(ref), waiting, at(0));
  }
  return null;
}

const invalid = (why: string): Failure => ({
  type: "InvalidInput",
  message: `The task cannot be executed: ${why}.`,
  retryable: false,
});

/** Writes what is missing of a task's edges, from where it was left, and then lets it be readied. */
export async function linkRefs({ engine, mover, blobs }: LinkDeps, task: TaskId): Promise<void> {
  const { found } = await engine.get([linkKey(task)]);
  const value = found[0]?.value;
  if (!value) return;
  const { refs, run, linked } = JSON.parse(value) as LinkRecord;
  const list: ReadRefs = await readRefList(blobs, refs);
  const keys = list.kind === "keys" ? list.keys : [];
  const failure = list.kind === "bad" ? invalid(list.why) : null;
  for (let from = linked; ; ) {
    const some = keys.slice(from, from + refsPerMove);
    const last = from + refsPerMove >= keys.length;
    const step = { task, run, from, keys: some, last, failure };
    const outcome = await mover.move(partitionOf(runOfTask(task)), linkSome, step);
    if (outcome === "done") return;
    from = outcome.linked;
  }
}
