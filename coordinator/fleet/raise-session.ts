import type { Partition } from "#shared/domain/ids.ts";
import type { AgentFrame } from "#shared/protocol/agent.ts";
import { at, type Move, writing } from "../engine/move.ts";
import { type AgentRecord, agentKey, agentsIndex } from "../records.ts";
import { agentsSeenIndex } from "../state/kept-records.ts";

type Hello = Extract<AgentFrame, { t: "hello" }>;

export interface Raised {
  readonly number: number;
  /** Nothing is known of an earlier session of the agent. */
  readonly isFirst: boolean;
}

/**
 * C14: each hello raises the agent's session number; frames and leases of an older one are void. As a fence (C11), it is
 * the greater of the stored one's successor and the engine's time, in milliseconds: an engine that was rolled back, or has
 * forgotten the agent, gives no number twice.
 */
export const raiseSession: Move<{ partition: Partition; hello: Hello }, Raised> = {
  name: "raiseSession",
  reads: ({ partition, hello }) => [agentKey(partition, hello.agent)],
  decide(view, { partition, hello }) {
    const key = agentKey(partition, hello.agent);
    const before = view.get<AgentRecord>(key)?.session ?? 0;
    const session = Math.max(before + 1, Math.round(view.nowMs));
    const value: AgentRecord = {
      id: hello.agent,
      name: hello.name,
      pool: hello.pool,
      platform: hello.platform,
      version: hello.version,
      labels: hello.labels,
      ...(hello.pythons ? { pythons: hello.pythons } : {}),
      capacity: hello.capacity,
      session,
      connected: true,
      seenAtMs: Math.round(view.nowMs),
    };
    return {
      transactions: [
        {
          checks: [],
          writes: [
            { kind: "set", key, value },
            { kind: "rank", index: agentsIndex(partition), member: hello.agent, score: at(0), value: hello.name },
            { kind: "rank", index: agentsSeenIndex(partition), member: hello.agent, score: at(value.seenAtMs) },
          ],
        },
      ],
      answer: () => ({ number: session, isFirst: before === 0 }),
    };
  },
};

/** Says that an agent's session has ended, unless a later one has begun. */
export const endSession: Move<{ partition: Partition; agent: string; session: number }, void> = {
  name: "endSession",
  reads: ({ partition, agent }) => [agentKey(partition, agent)],
  decide(view, { partition, agent, session }) {
    const record = view.get<AgentRecord>(agentKey(partition, agent));
    if (!record || record.session !== session || !record.connected)
      return { transactions: [], answer: () => undefined };
    const value: AgentRecord = { ...record, connected: false, seenAtMs: Math.round(view.nowMs) };
    return writing(
      { kind: "set", key: agentKey(partition, agent), value },
      { kind: "rank", index: agentsSeenIndex(partition), member: agent, score: at(value.seenAtMs) },
    );
  },
};
