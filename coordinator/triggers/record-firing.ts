import type { RunId } from "#shared/domain/ids.ts";
import { at, type DraftWrite, type Move, type Mover } from "../engine/move.ts";
import { projectPartition } from "../state/projects.ts";
import { nextOccasion } from "./cron.ts";
import {
  dueIndex,
  dueMember,
  type ProjectTriggers,
  type TriggerRecord,
  triggersKey,
  withTrigger,
} from "./trigger-records.ts";

/** What is noted of a firing; an `occasionMs` also moves the trigger on to the occasion after it. */
export interface FiringNote {
  readonly project: string;
  readonly trigger: string;
  readonly firedAtMs: number;
  readonly occasionMs: number | null;
  readonly run: RunId | null;
  readonly problem: string | null;
  readonly partitions: number;
}

const noteMove: Move<FiringNote, void> = {
  name: "noteFiring",
  // What it answers without writing must not rest on a record that another coordinator has changed.
  fresh: true,
  reads: (note) => [triggersKey(projectPartition(note.partitions, note.project), note.project)],
  decide(view, note) {
    const partition = projectPartition(note.partitions, note.project);
    const key = triggersKey(partition, note.project);
    const member = dueMember(note.project, note.trigger);
    const record = view.get<ProjectTriggers>(key);
    const trigger = record?.triggers.find(({ name }) => name === note.trigger);
    const done = { answer: () => undefined };
    if (!record || !trigger) return { transactions: [], ...done };
    // Another coordinator has fired this occasion and moved on.
    const passed = note.occasionMs !== null && (trigger.nextAtMs ?? Infinity) > note.occasionMs;
    if (passed) return { transactions: [], ...done };
    const changed = advance(trigger, note);
    const writes: DraftWrite[] = [{ kind: "set", key, value: withTrigger(record, changed) }];
    if (changed.nextAtMs !== null) {
      writes.push({ kind: "rank", index: dueIndex(partition), member, score: at(changed.nextAtMs) });
    } else {
      writes.push({ kind: "unrank", index: dueIndex(partition), member });
    }
    return { transactions: [{ checks: [], writes }], ...done };
  },
};

function advance(trigger: TriggerRecord, note: FiringNote): TriggerRecord {
  const { cron, timezone } = trigger;
  const moves = note.occasionMs !== null && cron !== undefined && timezone !== undefined;
  return {
    ...trigger,
    nextAtMs: moves ? nextOccasion({ cron, timezone }, note.occasionMs) : trigger.nextAtMs,
    lastFiredAtMs: note.firedAtMs,
    lastRun: note.run ?? trigger.lastRun,
    lastProblem: note.problem,
  };
}

export const noteFiring = (
  deps: { readonly mover: Mover; readonly partitions: number },
  note: Omit<FiringNote, "partitions">,
): Promise<void> =>
  deps.mover.move(projectPartition(deps.partitions, note.project), noteMove, { ...note, partitions: deps.partitions });
