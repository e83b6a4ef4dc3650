import type { Failure } from "#shared/domain/errors.ts";
import {
  type CallKey,
  keyOfTask,
  newRunId,
  partitionOf,
  type RunId,
  runOfTask,
  type Sha256,
  type TaskId,
  taskId,
  workflowKey,
} from "#shared/domain/ids.ts";
import { isTerminalTask } from "#shared/domain/states.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { AttemptName, Report } from "#shared/protocol/agent.ts";
import type { Call, Value } from "#shared/protocol/common.ts";
import type { Engine } from "./engine/engine.ts";
import type { GroupMover } from "./engine/mover.ts";
import type { Attempt, Hops } from "./fleet/hops.ts";
import { gatherRenewals } from "./leases/gather-renewals.ts";
import { giveBack } from "./leases/give-back.ts";
import { createHeldBy } from "./leases/held-by.ts";
import { holdLeases } from "./leases/hold-leases.ts";
import { makeLease } from "./leases/make-lease.ts";
import type { Logs } from "./logs/logs.ts";
import type { ProgressBoard } from "./progress.ts";
import { type JournalRecord, type RunRecord, runKey, type TaskRecord, taskKey } from "./records.ts";
import type { Registry } from "./registry/registry.ts";
import { parkRun } from "./runs/park-run.ts";
import { isCrash, type Successor, settleReport } from "./settle/settle-report.ts";
import type { RenewedLeases, Runs } from "./stages.ts";
import type { KeptBlobs } from "./state/blob-records.ts";
import { digestsOf } from "./state/blob-refs.ts";
import { isEverything, isSettled } from "./state/final-records.ts";
import { InlineBudget } from "./state/inline-budget.ts";
import { allPartitions } from "./state/projects.ts";
import { readJournal } from "./state/read-journal.ts";
import { storeBlob, withoutFiles } from "./state/store-value.ts";
import { unreadSignals } from "./state/unread-signals.ts";
import { groupCalls, inOrder, publishCalls } from "./tasks/publish-calls.ts";
import { resolveCalls } from "./tasks/resolve-calls.ts";

export interface HopsDeps {
  readonly engine: Engine;
  readonly blobs: KeptBlobs;
  readonly clock: Clock;
  readonly random: Random;
  readonly partitions: number;
  readonly mover: GroupMover;
  readonly registry: Registry;
  readonly logs: Logs;
  readonly progress: ProgressBoard;
  readonly runs: Runs;
  readonly leaseTtlMs: number;
}

/** Leases that one move holds. */
const leasesPerMove = 100;

/** What agents say, joined to the stages that it concerns. */
export function joinHops(given: HopsDeps): Hops {
  const deps = { ...given, inline: new InlineBudget(given.engine, given.blobs) };
  const { engine, mover, registry, progress } = deps;
  return {
    holdLeases: (leases, hold) => holdAll(deps, leases, hold),
    renewLeases: gatherRenewals({ ...deps, renew: (leases) => renew(deps, leases) }),
    async giveBack({ task, fence }, why) {
      await mover.move(partitionOf(runOfTask(task)), giveBack, { task, fence, why });
    },
    settleReport: (report, agent) => settle(deps, report, agent),
    publishCalls: (attempt, calls) => publish(deps, attempt, calls),
    parkRun: (attempt) => mover.move(partitionOf(runOfTask(attempt.task)), parkRun, attempt),
    async emit(attempt, event) {
      const record = await readRun(deps, runOfTask(attempt.task));
      if (!record) return;
      const id = `${attempt.task} ${event.key}`;
      const value = withoutFiles(event.value);
      await deps.blobs.touch([event.value]);
      await deps.runs.sendEvent({ project: record.project, name: event.name, id, value, by: record.id });
    },
    async appendLogs(chunks) {
      await deps.logs.appendLogs(chunks);
    },
    sayProgress: (attempt, what) => progress.say(attempt, what),
    forgetProgress: (task) => progress.forget(task),
    readOutputs: (task, keys) => readOutputs(deps, task, keys),
    makeLease: (grant) => makeLease({ ...deps, readRelease: registry.readRelease }, grant),
    cancelReasons: (leases) => cancelReasons(deps, leases),
    heldBy: createHeldBy(engine, allPartitions(deps.partitions)),
  };
}

type Deps = HopsDeps & { readonly inline: InlineBudget };

async function readRun({ mover }: Deps, run: RunId): Promise<RunRecord | null> {
  const [record] = await mover.read<RunRecord>(partitionOf(run), [runKey(run)], isEverything);
  return record ?? null;
}

const holdAll = async (deps: Deps, ...[leases, hold]: Parameters<Hops["holdLeases"]>) => {
  const groups = Map.groupBy(leases, ({ task }) => partitionOf(runOfTask(task)));
  const moves = [...groups].flatMap(([partition, mine]) =>
    chunksOf(mine, leasesPerMove).map((some) =>
      deps.mover.move(partition, holdLeases, { leases: some, forMs: deps.leaseTtlMs, ...hold }),
    ),
  );
  const parts = await Promise.all(moves);
  return { held: parts.flatMap(({ held }) => held), stale: parts.flatMap(({ stale }) => stale) };
};

async function settle(deps: Deps, given: Report, agent: string): Promise<Awaited<ReturnType<Hops["settleReport"]>>> {
  const run = runOfTask(given.task);
  const { kind } = given.result;
  const report = kind === "done" || kind === "restart" ? await storeResult(deps, given) : given;
  const crashed = keyOfTask(report.task) === workflowKey && isCrash(report);
  const crashedAt = crashed ? await journalEnd(deps, run, report.given ?? 0) : 0;
  const input = { report, agent, jitter: deps.random.float(), crashedAt };
  for (;;) {
    const successor = report.result.kind === "restart" ? await prepareSuccessor(deps, run) : null;
    const outcome = await deps.mover.move(partitionOf(run), settleReport, { ...input, successor });
    if (outcome.kind !== "grown") return outcome.kind;
  }
}

/** Where a run's journal ends, at `from` at least. */
const journalEnd = async ({ engine }: Deps, run: RunId, from: number): Promise<number> =>
  (await readJournal(engine, run, from)).at(-1)?.position ?? from;

/** The report with its value as it is to be stored. One whose blob is gone says nothing: the attempt is lost. */
async function storeResult(deps: Deps, report: Report): Promise<Report> {
  const { result } = report;
  if (result.kind !== "done" && result.kind !== "restart") return report;
  const value = result.kind === "done" ? result.output : result.input;
  const missing = await touchAll(deps, [value]);
  if (missing.length > 0) return { ...report, result: { kind: "lost", failure: valueIsGone(missing) } };
  if (result.kind === "restart") return { ...report, result: { ...result, input: withoutFiles(value) } };
  const output = await deps.inline.store(runOfTask(report.task), withoutFiles(value));
  return { ...report, result: { ...result, output } };
}

/** The blobs of values that are about to be referred to; answers those that are gone. Most values have none. */
async function touchAll({ blobs }: Deps, values: readonly Value[]): Promise<readonly Sha256[]> {
  const named = values.filter((value) => digestsOf(value).length > 0);
  return named.length > 0 ? blobs.touch(named) : [];
}

const valueIsGone = (missing: readonly Sha256[]): Failure => ({
  type: "ValueUnavailable",
  message: `The value came too late: its blob ${missing[0]}, which nothing referred to, was deleted meanwhile.`,
  retryable: true,
});

async function publish(deps: Deps, attempt: Attempt, calls: readonly Call[]): Promise<"published" | "stale"> {
  const run = runOfTask(attempt.task);
  const record = await readRun(deps, run);
  if (!record) return "stale";
  const { task, fence } = attempt;
  await touchAll(deps, refListsOf(calls));
  const missing = await touchAll(deps, inputsOf(calls));
  if (missing.length > 0) {
    await settle(
      deps,
      { task, fence, result: { kind: "lost", failure: valueIsGone(missing) }, ranMs: 0 },
      attempt.agent,
    );
    return "stale";
  }
  const resolved = await resolveCalls(deps.registry, record, await storeInputs(deps, run, calls));
  const publishSome = (some: typeof resolved) =>
    deps.mover.move(partitionOf(run), publishCalls, { task, fence, run, calls: some });
  for (const together of inOrder(groupCalls(resolved))) {
    const outcomes = await Promise.all(together.map(publishSome));
    const outcome = outcomes.find(({ kind }) => kind !== "published");
    if (!outcome) continue;
    if (outcome.kind === "contradiction") {
      await settle(deps, { task, fence, result: { kind: "fail", failure: outcome.failure }, ranMs: 0 }, attempt.agent);
    }
    return "stale";
  }
  return "published";
}

async function readOutputs({ mover }: Deps, task: TaskId, keys: readonly CallKey[]): Promise<Record<string, Value>> {
  const run = runOfTask(task);
  const records = keys.map((key) => taskKey(taskId(run, key)));
  const tasks = await mover.read<TaskRecord>(partitionOf(run), records, isSettled);
  const outputs: Record<string, Value> = {};
  for (const [index, key] of keys.entries()) {
    const output = tasks[index]?.output;
    if (output) outputs[key] = output;
  }
  return outputs;
}

async function renew(deps: Deps, leases: readonly AttemptName[]): Promise<RenewedLeases> {
  const { held, stale } = await holdAll(deps, leases, {});
  const stops = await Promise.all(chunksOf(held, leasesPerMove).map((some) => cancelReasons(deps, some)));
  return { held, stale, stops: stops.flat() };
}

const cancelReasons = async ({ engine }: Deps, leases: readonly AttemptName[]): Promise<RenewedLeases["stops"]> => {
  if (leases.length === 0) return [];
  const { found } = await engine.get(leases.map(({ task }) => taskKey(task)));
  return leases.flatMap((lease, index) => {
    const value = found[index]?.value;
    if (!value) return [];
    const { cancelReason, state } = JSON.parse(value) as TaskRecord;
    const reason = cancelReason ?? (isTerminalTask(state) ? "the run has ended" : null);
    return reason ? [{ ...lease, reason }] : [];
  });
};

/** Calls with their inputs as they are to be stored; a list of many refs is always a blob. */
async function storeInputs({ inline, blobs }: Deps, run: RunId, calls: readonly Call[]): Promise<readonly Call[]> {
  const stored: Call[] = [];
  for (const call of calls) {
    if (!("input" in call)) {
      stored.push(call);
      continue;
    }
    const input = await inline.store(run, withoutFiles(call.input));
    const many = call.manyRefs;
    const list = many && "json" in many ? { manyRefs: await storeBlob(blobs, Buffer.from(many.json)) } : {};
    stored.push({ ...call, input, ...list });
  }
  return stored;
}

const inputsOf = (calls: readonly Call[]): Value[] => calls.flatMap((call) => ("input" in call ? [call.input] : []));

/** A list that is gone fails its call when it is read. */
const refListsOf = (calls: readonly Call[]): Value[] =>
  calls.flatMap((call) => ("manyRefs" in call && call.manyRefs ? [call.manyRefs] : []));

/** The run that goes on from a restart, with the signals that the run before it left unread. */
async function prepareSuccessor({ engine, clock, random }: HopsDeps, run: RunId): Promise<Successor> {
  const journal = await readJournal(engine, run);
  const unread = unreadSignals(journal.map(({ value }) => JSON.parse(value) as JournalRecord));
  const seed = Buffer.from(random.bytes(16)).toString("hex");
  return { id: newRunId(partitionOf(run), clock, random), seed, unread, journalEnd: journal.at(-1)?.position ?? 0 };
}

const chunksOf = <T>(rows: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, index) => rows.slice(index * size, (index + 1) * size));
