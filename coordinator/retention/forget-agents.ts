import type { Partition } from "#shared/domain/ids.ts";
import type { Engine } from "../engine/engine.ts";
import { at, type Move, type Mover, writing } from "../engine/move.ts";
import { type AgentRecord, agentKey, agentsIndex } from "../records.ts";
import { agentsSeenIndex } from "../state/kept-records.ts";
import { dueRows } from "./due-rows.ts";

export const agentsPerSweepMax = 100;

interface ForgetAgent {
  readonly partition: Partition;
  readonly agent: string;
  readonly keepMs: number;
}

/** Forgets agents that left long ago; whether there may be more to do at once. */
export async function forgetAgents(
  deps: { readonly engine: Engine; readonly mover: Mover },
  partition: Partition,
  keepMs: number,
): Promise<boolean> {
  const due = { afterMs: keepMs, limit: agentsPerSweepMax };
  const rows = await dueRows(deps.engine, agentsSeenIndex(partition), due);
  await Promise.all(
    rows.map(({ member }) => deps.mover.move(partition, forgetAgent, { partition, agent: member, keepMs })),
  );
  return rows.length === agentsPerSweepMax;
}

const forgetAgent: Move<ForgetAgent, void> = {
  name: "forgetAgent",
  fresh: true,
  bulk: true,
  frees: true,
  reads: ({ partition, agent }) => [agentKey(partition, agent)],
  decide(view, { partition, agent, keepMs }) {
    const record = view.get<AgentRecord>(agentKey(partition, agent));
    const seen = agentsSeenIndex(partition);
    if (!record) return writing({ kind: "unrank", index: seen, member: agent });
    const nowMs = Math.round(view.nowMs);
    // Who is connected is looked at again after as long; who has left since has its own time.
    if (record.connected || nowMs - record.seenAtMs < keepMs) {
      const score = at(record.connected ? nowMs : record.seenAtMs);
      return writing({ kind: "rank", index: seen, member: agent, score });
    }
    return writing(
      { kind: "delete", key: agentKey(partition, agent) },
      { kind: "unrank", index: agentsIndex(partition), member: agent },
      { kind: "unrank", index: seen, member: agent },
    );
  },
};
