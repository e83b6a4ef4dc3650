/**
 * Many light agents in a process of its own: `node light-agents.ts <url> <token>`. Told by its parent `Order`s, it answers
 * each with a `Report`. Agent 0 alone takes workflow tasks: it makes the calls that the others are handed.
 */
import { sha256 } from "#shared/domain/ids.ts";
import type { AgentFrame, CoordinatorFrame, Lease } from "#shared/protocol/agent.ts";
import type { Call } from "#shared/protocol/common.ts";
import { serveParent } from "../child.ts";
import { LightAgent } from "./light-agent.ts";

export type Order =
  /** Connects agents until there are so many. */
  | { readonly kind: "connect"; readonly agents: number }
  /** Calls a task for each of these agents, one after another; each is done at once. */
  | { readonly kind: "handOver"; readonly slots: readonly number[] }
  /** Calls so many tasks, which any agent takes and keeps. */
  | { readonly kind: "hold"; readonly tasks: number }
  /** Ends what is kept. */
  | { readonly kind: "letGo" }
  | { readonly kind: "count" };

export interface Report {
  /** From the frame that calls a task to the frame that leases it. */
  readonly timesMs?: readonly number[];
  /** Heartbeats of all agents so far. */
  readonly beats?: { readonly pings: number; readonly renewals: number };
}

const [url = "", token = ""] = process.argv.slice(2);
const dialsAtOnce = 100;
const callsOfFrame = 500;
const agents: LightAgent[] = [];
/** What is kept, and by whom. */
const kept = new Map<Lease, LightAgent>();
let workflow: { readonly lease: Lease; readonly agent: LightAgent } | null = null;
const begun = Promise.withResolvers<void>();
let calls = 0;
let given = 0;
let onTask: (agent: LightAgent, lease: Lease) => void = () => undefined;
let onSettled: () => void = () => undefined;

function takeLease(agent: LightAgent, lease: Lease): void {
  if (lease.kind === "task") {
    onTask(agent, lease);
    return;
  }
  workflow = { lease, agent };
  agent.keep(lease);
  begun.resolve();
}

function takeFrame(agent: LightAgent, frame: CoordinatorFrame): void {
  if (frame.t === "refused" || frame.t === "stale") throw new Error(`Agent ${agent.index}: ${JSON.stringify(frame)}`);
  if (frame.t !== "settled") return;
  given = frame.entries.at(-1)?.p ?? given;
  for (const entry of frame.entries) if (entry.e === "settled") onSettled();
}

async function connect(count: number): Promise<Report> {
  while (agents.length < count) {
    const batch = Array.from({ length: Math.min(dialsAtOnce, count - agents.length) }, (_, n) => {
      const index = agents.length + n;
      const credit = { tasks: 1, workflows: index === 0 ? 1 : 0 };
      return new LightAgent({ url, token, index, credit, onLease: takeLease, onFrame: takeFrame });
    });
    await Promise.all(batch.map(({ welcomed }) => welcomed));
    agents.push(...batch);
  }
  return {};
}

const makeCalls = (count: number, labels: Record<string, string>): Call[] =>
  Array.from({ length: count }, () => {
    calls += 1;
    const key = `noop#${calls}`;
    return {
      ...{ kind: "task", key, name: "noop", digest: sha256(key), input: { json: "1" } },
      ...{ options: { labels }, awaited: true },
    } as unknown as Call;
  });

function publish(some: readonly Call[]): void {
  if (workflow === null) throw new Error("No workflow task has come.");
  const { agent, lease } = workflow;
  const { task, fence } = lease;
  agent.send({ t: "calls", seq: agent.seq(), task, fence, given, calls: some } as unknown as AgentFrame);
}

async function handOver(slots: readonly number[]): Promise<Report> {
  await begun.promise;
  const timesMs: number[] = [];
  for (const slot of slots) {
    const settled = Promise.withResolvers<void>();
    onSettled = settled.resolve;
    onTask = (agent, lease) => {
      timesMs.push(performance.now() - startMs);
      if (agent.index !== slot) throw new Error(`A task for agent ${slot} came to agent ${agent.index}.`);
      agent.done(lease, 1);
    };
    const call = makeCalls(1, { slot: String(slot) });
    const startMs = performance.now();
    publish(call);
    await settled.promise;
  }
  return { timesMs };
}

async function hold(tasks: number): Promise<Report> {
  await begun.promise;
  const all = Promise.withResolvers<void>();
  onTask = (agent, lease) => {
    agent.keep(lease);
    kept.set(lease, agent);
    if (kept.size === tasks) all.resolve();
  };
  for (let left = tasks; left > 0; left -= callsOfFrame) publish(makeCalls(Math.min(left, callsOfFrame), {}));
  await all.promise;
  return {};
}

async function letGo(): Promise<Report> {
  const all = Promise.withResolvers<void>();
  let left = kept.size;
  onSettled = () => {
    left -= 1;
    if (left === 0) all.resolve();
  };
  for (const [lease, agent] of kept) agent.done(lease, 1);
  kept.clear();
  await all.promise;
  return {};
}

function count(): Report {
  const sum = (what: "pings" | "renewals") => agents.reduce((all, { beats }) => all + beats[what], 0);
  return { beats: { pings: sum("pings"), renewals: sum("renewals") } };
}

serveParent(async (order: Order): Promise<Report> => {
  switch (order.kind) {
    case "connect":
      return connect(order.agents);
    case "handOver":
      return handOver(order.slots);
    case "hold":
      return hold(order.tasks);
    case "letGo":
      return letGo();
    case "count":
      return count();
  }
});
