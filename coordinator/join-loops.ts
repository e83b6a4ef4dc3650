import { partitionOf, type RunId, runOfTask, type TaskId } from "#shared/domain/ids.ts";
import type { GroupMover } from "./engine/mover.ts";
import type { Fleet } from "./fleet/fleet.ts";
import { expireLeases } from "./leases/expire-leases.ts";
import { deliverSlot } from "./limits/deliver-slot.ts";
import { createSlotWatch } from "./limits/look-after-slots.ts";
import { serveMember } from "./limits/serve-limit.ts";
import { Loops, type LoopsDeps } from "./loops.ts";
import type { Peers } from "./peers.ts";
import { type RunRecord, runKey } from "./records.ts";
import type { Retention } from "./retention/retention.ts";
import { forceEnd } from "./runs/cancel-run.ts";
import { type CloseDeps, closeRun } from "./runs/close-run.ts";
import { resolveDependents } from "./settle/resolve-dependents.ts";
import type { Runs } from "./stages.ts";
import type { KeptBlobs } from "./state/blob-records.ts";
import { type Message, removeMessage } from "./state/messages.ts";
import { fireTimers, type TimerDeps } from "./tasks/fire-timers.ts";
import { linkRefs } from "./tasks/link-refs.ts";
import { deliverEvent, walkEvents } from "./triggers/events.ts";
import type { Triggers } from "./triggers/triggers.ts";

interface JoinLoops extends Pick<LoopsDeps, "engine" | "clock" | "partitions" | "logger"> {
  readonly mover: GroupMover;
  readonly fleet: Fleet;
  readonly runs: Runs;
  readonly triggers: Triggers;
  readonly peers: Peers | null;
  readonly blobs: KeptBlobs;
  readonly retention: Retention;
}

/** What happens without being asked for, joined to the stages that do it. */
export function joinLoops(deps: JoinLoops): Loops {
  const { engine, mover, fleet, runs, partitions, peers } = deps;
  const across = { engine, mover, partitions: partitions.length };
  const slots = createSlotWatch(across);
  const deliver = async (message: Message): Promise<void> => {
    switch (message.kind) {
      case "askSlot":
      case "freeSlot":
      case "giveSlot":
        return deliverSlot(across, message);
      case "event":
        // Where it came from may let go of its blob before where it goes to refers to it.
        await deps.blobs.touch([message.value]);
        return deliverEvent(across, message);
      default:
        return deliverEvent(across, message);
    }
  };
  const endRun: TimerDeps["endRun"] = async (run, why) => {
    await mover.move(partitionOf(run), forceEnd, { run, why });
  };
  const cancelChild: CloseDeps["cancelChild"] = async (run, reason) => {
    // A child that restarted goes on as another run, which answers the parent in its place.
    for (let next: RunId | null = run; next; ) {
      const outcome = await runs.cancelRun({ run: next, reason, by: "parent" });
      if (outcome.kind !== "ended") return;
      const { found } = await engine.get([runKey(next)]);
      const ended = JSON.parse(found[0]?.value ?? "null") as RunRecord | null;
      next = ended?.state === "restarted" ? ended.next : null;
    }
  };
  const stopLease: CloseDeps["stopLease"] = (lease) => {
    const task = lease.task as TaskId;
    if (!fleet.stopLease(lease)) peers?.tell(partitionOf(runOfTask(task)), { t: "stop", ...lease, task });
  };
  return new Loops({
    ...deps,
    fireTimers: (partition) => fireTimers({ engine, mover, endRun }, partition),
    expireLeases: (partition) => expireLeases({ engine, mover }, partition),
    letGoLost: () => fleet.letGoLost(),
    closeRun: (run) => closeRun({ engine, mover, stopLease, cancelChild }, run),
    resolveDependents: (task) => resolveDependents({ mover }, task),
    linkRefs: (task) => linkRefs({ engine, mover, blobs: deps.blobs }, task),
    async deliver(partition, member, message) {
      await deliver(message);
      await mover.move(partition, removeMessage, { from: partition, member });
    },
    removeRun: (run) => deps.retention.removeRun(run),
    sweepKept: (partition) => deps.retention.sweep(partition),
    walkEvents: (topic) => walkEvents(across, topic),
    serveLimit: (partition, limit) => serveMember(across, partition, limit),
    lookAfterSlots: () => slots.look(),
    sawQueues(partition, queues) {
      for (const queue of queues) fleet.matching.sawQueue(partition, queue);
    },
    lookAtPeers: async () => peers?.look(),
    fireTriggers: () => deps.triggers.fireDue(),
  });
}
