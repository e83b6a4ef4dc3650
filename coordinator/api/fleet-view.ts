import { partitionFor } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { Engine } from "../engine/engine.ts";
import { type AgentRecord, agentKey, agentsIndex } from "../records.ts";
import { mergeRange } from "../state/merge-range.ts";
import { allPartitions } from "../state/projects.ts";
import type { Offer } from "../state/queues.ts";
import type { Place } from "./page.ts";
import { parseFound } from "./views.ts";

/** What agents that are connected offer alike, and how many they are for each kind of task that they have slots for. */
export interface FleetOffer extends Offer {
  readonly agents: { readonly task: number; readonly workflow: number };
}

/** The fleet as people are told of it: from its records, on demand, and not on the way of any task. */
export interface FleetView {
  /** Of at most `agentsLookedAtMax` agents, and up to `offersBelievedMs` old. */
  offers(): Promise<readonly FleetOffer[]>;
  /** Names of agents by their ids. Those that are forgotten have none. */
  namesOf(ids: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

interface FleetViewDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly partitions: number;
}

const offersBelievedMs = 3_000;
const pageRows = 500;

export function createFleetView(deps: FleetViewDeps): FleetView {
  let read: { readonly offers: Promise<readonly FleetOffer[]>; readonly untilMs: number } | null = null;
  return {
    offers() {
      const nowMs = deps.clock.monotonicMs();
      if (read !== null && nowMs < read.untilMs) return read.offers;
      const offers = readOffers(deps);
      read = { offers, untilMs: nowMs + offersBelievedMs };
      offers.catch(() => {
        read = null;
      });
      return offers;
    },
    async namesOf(ids) {
      const distinct = [...new Set(ids)];
      if (distinct.length === 0) return new Map();
      const keys = distinct.map((id) => agentKey(partitionFor(deps.partitions, "agent", id), id));
      const { found } = await deps.engine.get(keys);
      return new Map(
        found.flatMap((one) => {
          const record = parseFound<AgentRecord>(one);
          return record ? [[record.id, record.name]] : [];
        }),
      );
    },
  };
}

async function readOffers(deps: FleetViewDeps): Promise<readonly FleetOffer[]> {
  const offers = new Map<string, FleetOffer>();
  let after: Place | undefined;
  for (let looked = 0; looked < limits.agentsLookedAtMax; looked += pageRows) {
    const query = { limit: pageRows, ...(after ? { after } : {}) };
    const rows = await mergeRange(deps.engine, allPartitions(deps.partitions), agentsIndex, query);
    const { found } = await deps.engine.get(rows.map(({ partition, member }) => agentKey(partition, member)));
    for (const one of found) {
      const record = parseFound<AgentRecord>(one);
      if (record?.connected) addOffer(offers, record);
    }
    const last = rows.at(-1);
    if (rows.length < pageRows || !last) break;
    after = { score: last.score, member: last.member };
  }
  return [...offers.values()];
}

function addOffer(
  offers: Map<string, FleetOffer>,
  { pool, platform, labels, pythons = [], capacity }: AgentRecord,
): void {
  const key = JSON.stringify([pool, platform, pythons, Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))]);
  const { task, workflow } = offers.get(key)?.agents ?? { task: 0, workflow: 0 };
  const agents = { task: task + (capacity.tasks > 0 ? 1 : 0), workflow: workflow + (capacity.workflows > 0 ? 1 : 0) };
  offers.set(key, { pool, platform, labels, pythons, agents });
}
