import { keyOfTask, type TaskId, taskId } from "#shared/domain/ids.ts";
import type { Engine } from "../engine/engine.ts";
import { edgesIndex, type TaskRecord } from "../records.ts";
import { parseQueue, parseTarget, type Requirement, satisfies } from "../state/queues.ts";
import { waitsForSlot } from "../state/slots.ts";
import type { FleetOffer, FleetView } from "./fleet-view.ts";

/** Refs that are counted before it is said that there are more. */
const refsCountedMax = 1_000;

/**
 * What a task waits for that neither runs nor has ended, as a sentence without its end; null where its kind says it all
 * (a sleep, the wait for a signal, a child's run), or an agent is about to begin.
 */
export async function waitsOf(
  deps: { readonly engine: Engine; readonly fleet: FleetView },
  task: TaskRecord,
  isGranted: boolean,
): Promise<string | null> {
  if (task.state === "ready" && !isGranted && task.queue !== "") {
    return waitsForAgent(parseQueue(task.queue), await deps.fleet.offers());
  }
  if (task.state === "delayed") return waitsForRetry(task);
  if (waitsForSlot(task)) return waitsForItsSlot(task);
  if (task.state === "waiting" && (task.refs.length > 0 || task.manyRefs)) {
    return await waitsForRefs(deps.engine, taskId(task.run, task.key));
  }
  return null;
}

function waitsForItsSlot({ options: { limit } }: TaskRecord): string | null {
  return limit ? `limit '${limit.name}' lets ${limit.max} be at work at once; others come first` : null;
}

function waitsForRetry({ readyAtMs, attemptsEnded }: TaskRecord): string | null {
  return readyAtMs === null ? null : `attempt ${attemptsEnded + 1} begins at ${new Date(readyAtMs).toISOString()}`;
}

async function waitsForRefs(engine: Engine, task: TaskId): Promise<string | null> {
  const { rows } = await engine.range(edgesIndex(task), { limit: refsCountedMax });
  if (rows.length === 0) return null;
  if (rows.length === 1) return `1 of its refs has not settled: ${keyOfTask(rows[0]?.member as TaskId)}`;
  return `${rows.length === refsCountedMax ? `${refsCountedMax} or more` : rows.length} of its refs have not settled`;
}

/** Which agents could take it; or, when none could, what those lack that come nearest. */
export function waitsForAgent(requirement: Requirement, offers: readonly FleetOffer[]): string {
  const { kind, pool, targets, labels } = requirement;
  const able = offers.filter((offer) => offer.agents[kind] > 0);
  if (able.length === 0)
    return offers.length === 0 ? "no agent is connected" : `no connected agent has slots for ${kind}s`;
  const { agent: _, ...anyAgent } = requirement;
  const count = able.filter((offer) => satisfies(offer, anyAgent)).reduce((sum, offer) => sum + offer.agents[kind], 0);
  if (count === 1) return "1 agent could take it; it is busy";
  if (count > 1) return `${count} agents could take it; all are busy`;
  const inPool = able.filter((offer) => offer.pool === pool);
  if (inPool.length === 0) return `no connected agent serves pool '${pool}'`;
  const platforms = targets.map((target) => parseTarget(target).platform);
  const onPlatform = inPool.filter((offer) => platforms.includes(offer.platform));
  if (onPlatform.length === 0) {
    const has = [...new Set(inPool.map(({ platform }) => platform))].sort().slice(0, 5).join(", ");
    return `no connected agent of pool '${pool}' has the platform ${platforms.join(" or ")} (they have ${has})`;
  }
  const fitting = onPlatform.filter((offer) => satisfies(offer, { ...anyAgent, labels: {} }));
  if (fitting.length === 0) return `no connected agent of pool '${pool}' has ${pythonText(targets, onPlatform)}`;
  const asked = Object.entries(labels);
  const unheard = asked.filter(([name, value]) => !fitting.some((offer) => offer.labels[name] === value));
  const which = unheard.length > 0 ? labelsText(unheard) : `${labelsText(asked)} together`;
  return `no connected agent of pool '${pool}' has the label ${which}`;
}

/** Agents of a platform are there, and none has a Python with which the binary works. */
function pythonText(targets: readonly string[], offers: readonly FleetOffer[]): string {
  const needs = new Set(
    targets.flatMap((target) => {
      const { platform, python } = parseTarget(target);
      return python !== null && offers.some((offer) => offer.platform === platform) ? [`python${python}`] : [];
    }),
  );
  const has = [...new Set(offers.flatMap(({ pythons = [] }) => pythons))].sort().slice(0, 5).join(", ");
  return `${[...needs].join(" or ")} (they have ${has || "none"})`;
}

const labelsText = (labels: readonly (readonly [string, string])[]): string =>
  labels.map(([name, value]) => (value === "" ? name : `${name}=${value}`)).join(" and ");
