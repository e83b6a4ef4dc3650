import type { TaskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { AgentFrame, AttemptName } from "#shared/protocol/agent.ts";
import type { Hops } from "./hops.ts";
import type { Session } from "./session.ts";

export interface FrameDeps {
  readonly hops: Hops;
  /** The session can take more, or something it held is over. */
  readonly poke: () => void;
  /** A15, A17: a report that changed nothing, because its attempt is over or another was accepted for it. */
  readonly onRefused: (report: AttemptName & { readonly agent: string; readonly outcome: string }) => void;
}

type Frame<T extends AgentFrame["t"]> = Extract<AgentFrame, { t: T }>;

/**
 * What a frame leads to. Resolves when its effects are durable; a frame with a `seq` is accepted then, and not at all
 * when something failed, so that the agent sends it again.
 */
export async function handleFrame(deps: FrameDeps, session: Session, frame: AgentFrame): Promise<void> {
  switch (frame.t) {
    case "hello":
      return;
    case "credit":
      session.setCredit(frame.tasks, frame.workflows);
      deps.poke();
      return;
    case "leased":
      return hold(deps, session, frame.leases, "accepted");
    case "started":
      return hold(deps, session, frame.leases, "running");
    case "renew":
      return renew(deps, session, frame);
    case "handback":
      return handBack(deps, session, frame);
    case "report":
      return report(deps, session, frame);
    case "calls":
      return inOrder(session, frame.task, () => calls(deps, session, frame));
    case "await":
      return inOrder(session, frame.task, () => awaitKeys(deps, session, frame));
    case "park":
      return inOrder(session, frame.task, () => park(deps, session, frame));
    case "lacks":
      if (isHeld(session, frame)) session.held.get(frame.task)?.feed?.again();
      return;
    case "emit":
      await deps.hops.emit(frame, frame);
      return accept(session, frame.seq);
    case "logs":
      await deps.hops.appendLogs(frame.chunks);
      return accept(session, frame.seq);
    case "progress":
      if (isHeld(session, frame)) deps.hops.sayProgress(frame, frame);
      return;
    case "bye":
      session.drain();
      session.close(1000, "bye");
  }
}

const accept = (session: Session, seq: number): void => session.send({ t: "accepted", ranges: [[seq, seq]] });

/** Frames of one workflow attempt take effect one after another. */
function inOrder(session: Session, task: TaskId, effect: () => Promise<void>): Promise<void> {
  const held = session.held.get(task);
  if (!held) return effect();
  const done = held.order.then(effect);
  held.order = done.catch(() => undefined);
  return done;
}

const isHeld = (session: Session, { task, fence }: AttemptName): boolean => session.held.get(task)?.fence === fence;

function letGo(deps: FrameDeps, session: Session, lease: AttemptName): void {
  if (!isHeld(session, lease)) return;
  session.drop(lease.task);
  deps.hops.forgetProgress(lease.task);
}

function drop(deps: FrameDeps, session: Session, leases: readonly AttemptName[]): void {
  for (const lease of leases) letGo(deps, session, lease);
  if (leases.length > 0) deps.poke();
}

function tellStale(deps: FrameDeps, session: Session, leases: readonly AttemptName[]): void {
  if (leases.length === 0) return;
  drop(deps, session, leases);
  session.send({ t: "stale", leases: leases.map(({ task, fence }) => ({ task, fence })) });
}

async function hold(
  deps: FrameDeps,
  session: Session,
  leases: readonly AttemptName[],
  state: "accepted" | "running",
): Promise<void> {
  // What was reported meanwhile is over, not stale.
  const open = leases.filter((lease) => isHeld(session, lease));
  session.hear(open);
  const { stale } = await deps.hops.holdLeases(open, { state });
  tellStale(
    deps,
    session,
    stale.filter((lease) => isHeld(session, lease)),
  );
}

async function renew(deps: FrameDeps, session: Session, frame: Frame<"renew">): Promise<void> {
  session.hear(frame.leases);
  const known = new Set(frame.leases.filter((lease) => isHeld(session, lease)));
  const { at } = frame;
  const { held, stale, stops } = await deps.hops.renewLeases(frame.leases, { isUrgent: at !== undefined });
  if (held.length > 0) session.send({ t: "renewed", leases: [...held], ...(at === undefined ? {} : { at }) });
  // What was reported meanwhile is over, not stale.
  const gone = stale.filter((lease) => isHeld(session, lease) || !known.has(lease));
  tellStale(deps, session, gone);
  for (const stop of stops) session.send({ t: "stop", ...stop, graceMs: limits.killGraceMs });
}

async function handBack(deps: FrameDeps, session: Session, frame: Frame<"handback">): Promise<void> {
  drop(deps, session, frame.leases);
  await Promise.all(frame.leases.map((lease) => deps.hops.giveBack(lease, "handback")));
}

async function report(deps: FrameDeps, session: Session, frame: Frame<"report">): Promise<void> {
  // A workflow's report follows the calls that it made; a task's frees its place at once, so that the commit that
  // settles it can also grant the next.
  const settled = frame.reports.map(async (one) => {
    const held = session.held.get(one.task);
    if (held?.kind === "workflow") await held.order;
    letGo(deps, session, one);
    return deps.hops.settleReport(one, session.agent);
  });
  deps.poke();
  const outcomes = await Promise.all(settled);
  const stale = frame.reports.filter((_, index) => outcomes[index] === "stale");
  for (const [index, { task, fence }] of frame.reports.entries()) {
    const outcome = outcomes[index];
    if (outcome === "stale" || outcome === "contradicted")
      deps.onRefused({ agent: session.agent, task, fence, outcome });
  }
  tellStale(deps, session, stale);
  accept(session, frame.seq);
}

async function calls(deps: FrameDeps, session: Session, frame: Frame<"calls">): Promise<void> {
  const feed = session.held.get(frame.task)?.feed;
  feed?.await(frame.calls.filter((call) => "awaited" in call && call.awaited).map(({ key }) => key));
  const outcome = await deps.hops.publishCalls({ ...frame, agent: session.agent }, frame.calls);
  if (outcome === "stale") tellStale(deps, session, [frame]);
  accept(session, frame.seq);
}

async function awaitKeys(deps: FrameDeps, session: Session, frame: Frame<"await">): Promise<void> {
  session.held.get(frame.task)?.feed?.await(frame.keys);
  const values = await deps.hops.readOutputs(frame.task, frame.keys);
  session.send({ t: "values", task: frame.task, fence: frame.fence, values });
}

async function park(deps: FrameDeps, session: Session, frame: Frame<"park">): Promise<void> {
  const outcome = await deps.hops.parkRun(frame);
  if (outcome === "stale") return tellStale(deps, session, [frame]);
  if (outcome === "grown") return session.held.get(frame.task)?.feed?.look();
  drop(deps, session, [frame]);
  session.send({ t: "parked", task: frame.task, fence: frame.fence });
}
