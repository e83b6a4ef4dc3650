import type { CallKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Result } from "#shared/protocol/agent.ts";
import type { Call, CheckResult, Entry, Value } from "#shared/protocol/common.ts";
import type { ProgramCall, ProgramEntry, ProgramValue } from "#shared/protocol/task.ts";
import type { Connection } from "../connection/connection.ts";
import { frameUnit } from "../connection/unit.ts";
import { boundFailure, failureFrom } from "../failures.ts";
import { type Attempt, nameOf } from "../leases/attempt.ts";
import type { JournalPage, KeptJournals } from "../leases/kept-journals.ts";
import type { Values } from "./program-values.ts";
import type { Answer, Saying } from "./read-frame.ts";

/**
 * Passes words on between a program, which names its work by args-id, and the coordinator, which names an attempt by
 * task and fence; large values become files on one side and blobs on the other.
 */
export interface RelayDeps {
  readonly connection: Pick<Connection, "keep" | "ordered">;
  readonly values: Values;
}

/** What a program says of work that it goes on with. */
export function relaySaying(deps: RelayDeps, attempt: Attempt, frame: Exclude<Saying, { t: "unbegun" }>): void {
  switch (frame.t) {
    case "progress": {
      const { fraction, message } = frame;
      attempt.progress = {
        ...(fraction === undefined ? {} : { fraction }),
        ...(message === undefined ? {} : { message: message.slice(0, 1_000) }),
      };
      return;
    }
    case "emit":
      attempt.up.run(() => relayEmit(deps, attempt, frame));
      return;
    case "calls":
      attempt.up.run(() => relayCalls(deps, attempt, frame));
      return;
    case "await":
      for (const key of frame.keys) attempt.awaiting.add(key);
      attempt.up.run(() => askFor(deps, attempt, frame.keys));
      return;
    case "park":
      attempt.parking = { given: frame.given, awaiting: frame.awaiting.slice(0, awaitingMax) };
      attempt.up.run(() => askToPark(deps, attempt));
      return;
    case "fetch":
      void relayFetch(deps, attempt, frame);
      return;
  }
}

/** Says again what a lost session may have swallowed. */
export function repeatWaits(deps: RelayDeps, attempt: Attempt): void {
  askFor(deps, attempt, [...attempt.awaiting]);
  askToPark(deps, attempt);
}

const keysPerAwaitMax = 1_000;
/** More need not be named: whatever is journaled wakes the workflow. */
const awaitingMax = 10_000;

function askFor(deps: RelayDeps, attempt: Attempt, keys: readonly CallKey[]): void {
  for (let from = 0; from < keys.length; from += keysPerAwaitMax) {
    deps.connection.ordered({ t: "await", ...nameOf(attempt), keys: keys.slice(from, from + keysPerAwaitMax) });
  }
}

function askToPark(deps: RelayDeps, attempt: Attempt): void {
  const { parking } = attempt;
  if (parking === null) return;
  deps.connection.ordered({ t: "park", ...nameOf(attempt), given: parking.given, awaiting: [...parking.awaiting] });
}

const unacceptedMax = 1_000;

/** Keeps what must not be lost; a program that is far ahead of the coordinator is not read on. */
function keepUnit<T extends "calls" | "emit">(
  deps: RelayDeps,
  attempt: Attempt,
  kind: T,
  fields: Parameters<typeof frameUnit<T>>[2],
  accepted: () => void,
): void {
  attempt.unaccepted += 1;
  if (attempt.unaccepted === unacceptedMax) attempt.host?.hold(true);
  const taken = () => {
    attempt.unaccepted -= 1;
    if (attempt.unaccepted === unacceptedMax - 1) attempt.host?.hold(false);
    accepted();
  };
  deps.connection.keep(frameUnit(attempt.key, kind, fields, taken));
}

function relayEmit(deps: RelayDeps, attempt: Attempt, frame: Extract<Saying, { t: "emit" }>): void | Promise<void> {
  const { key, name } = frame;
  return andThen(deps.values.take(attempt, frame.value), (value) => {
    const accepted = () => attempt.host?.tell(JSON.stringify({ t: "accepted", argsId: attempt.argsId, emits: [key] }));
    keepUnit(deps, attempt, "emit", { ...nameOf(attempt), key, name, value }, accepted);
  });
}

/** A message has room for many calls, and a call for 16 KiB of input. */
const callsBytesMax = 256 * 1024;

function relayCalls(deps: RelayDeps, attempt: Attempt, frame: Extract<Saying, { t: "calls" }>): void | Promise<void> {
  const calls = frame.calls.map((call) => takeCall(deps, attempt, call));
  const send = (taken: readonly Call[]) => {
    let group: Call[] = [];
    let bytes = 0;
    const close = () => {
      if (group.length > 0) keepCalls(deps, attempt, frame.given, group);
      group = [];
      bytes = 0;
    };
    for (const call of taken) {
      const size = JSON.stringify(call).length * 3;
      if (bytes + size > callsBytesMax || group.length === 1_000) close();
      group.push(call);
      bytes += size;
    }
    close();
  };
  if (calls.some((call) => call instanceof Promise)) return Promise.all(calls).then(send);
  send(calls as Call[]);
}

/** A call with its values as the coordinator takes them. */
function takeCall(deps: RelayDeps, attempt: Attempt, call: ProgramCall): Call | Promise<Call> {
  if (!("input" in call)) return call as Call;
  const input = deps.values.take(attempt, call.input);
  const many = call.manyRefs === undefined ? null : deps.values.take(attempt, call.manyRefs);
  const join = (input: Value, many: Value | null) => ({ ...call, input, ...(many ? { manyRefs: many } : {}) }) as Call;
  if (input instanceof Promise || many instanceof Promise)
    return Promise.all([input, many]).then(([a, b]) => join(a, b));
  return join(input, many);
}

function keepCalls(deps: RelayDeps, attempt: Attempt, given: number, calls: Call[]): void {
  const open = { count: calls.length, accepted: false };
  attempt.callsOpen.push(open);
  const accepted = () => {
    open.accepted = true;
    while (attempt.callsOpen[0]?.accepted) attempt.callsAccepted += attempt.callsOpen.shift()?.count ?? 0;
    attempt.host?.tellLater(JSON.stringify({ t: "accepted", argsId: attempt.argsId, calls: attempt.callsAccepted }));
  };
  keepUnit(deps, attempt, "calls", { ...nameOf(attempt), given, calls }, accepted);
}

const filesMax = 1_000;

async function relayFetch(deps: RelayDeps, attempt: Attempt, frame: Extract<Saying, { t: "fetch" }>): Promise<void> {
  const head = { t: "fetched", argsId: attempt.argsId, sha256: frame.sha256 };
  try {
    attempt.fetches += 1;
    if (attempt.fetches > filesMax) throw new Error(`an attempt has at most ${filesMax} blobs as files`);
    const { path } = await deps.values.bringBlob(attempt, frame.sha256, limits.fileBytesMax);
    attempt.host?.tell(JSON.stringify({ ...head, path }));
  } catch (error) {
    attempt.host?.tell(JSON.stringify({ ...head, failure: failureFrom(error, "ValueUnavailable") }));
  }
}

export interface JournalDeps extends RelayDeps {
  readonly journals: KeptJournals;
}

/** Journal entries for a workflow. False when they do not follow on from what it was given before. */
export function relayEntries(deps: JournalDeps, attempt: Attempt, entries: readonly Entry[]): boolean {
  // They are on their way since before the coordinator heard that all are wanted.
  if (attempt.lacking && entries[0]?.p !== 1) return true;
  attempt.lacking = false;
  const fresh = entries.filter((entry) => entry.p > attempt.given);
  for (const [index, entry] of fresh.entries()) if (entry.p !== attempt.given + index + 1) return false;
  if (fresh.length === 0) return true;
  const page = { to: attempt.given + fresh.length, text: JSON.stringify(fresh), blobs: fresh.some(hasBlob) };
  deps.journals.add(attempt.lease.task, attempt.given + 1, page);
  for (const entry of fresh) if (entry.e === "settled" && entry.value !== undefined) attempt.awaiting.delete(entry.key);
  givePage(deps, attempt, page);
  return true;
}

/** Gives a workflow what is kept here of its journal, or asks for all of it. */
export function relayKept(deps: JournalDeps, attempt: Attempt): void {
  const { task, kept } = attempt.lease;
  if (!kept) return;
  const journal = deps.journals.find(task, kept);
  if (!journal) {
    attempt.lacking = true;
    deps.connection.ordered({ t: "lacks", ...nameOf(attempt) });
    return;
  }
  giveOutputs(deps, attempt, journal.outputs);
  for (const page of journal.pages) givePage(deps, attempt, page);
}

function givePage(deps: RelayDeps, attempt: Attempt, page: JournalPage): void {
  attempt.given = page.to;
  attempt.parking = null;
  const tell = (text: string) =>
    tellAttempt(attempt, `{"t":"settled","argsId":${JSON.stringify(attempt.argsId)},"entries":${text}}`);
  attempt.down.run(() => {
    if (!page.blobs) return tell(page.text);
    const brought = (JSON.parse(page.text) as Entry[]).map((entry) => bringEntry(deps, attempt, entry));
    return Promise.all(brought).then((ready) => tell(JSON.stringify(ready)));
  });
}

const hasBlob = (entry: Entry): boolean => "value" in entry && entry.value !== undefined && "blob" in entry.value;

function bringEntry(deps: RelayDeps, attempt: Attempt, entry: Entry): ProgramEntry | Promise<ProgramEntry> {
  if (!("value" in entry) || entry.value === undefined || "json" in entry.value) return entry as ProgramEntry;
  return Promise.resolve(deps.values.bring(attempt, entry.value)).then(
    (value) => ({ ...entry, value }) as ProgramEntry,
  );
}

export function relayValues(deps: JournalDeps, attempt: Attempt, values: Readonly<Record<string, Value>>): void {
  for (const key of Object.keys(values)) attempt.awaiting.delete(key as CallKey);
  deps.journals.addOutputs(attempt.lease.task, values);
  giveValues(deps, attempt, values);
}

function giveValues(deps: RelayDeps, attempt: Attempt, values: Readonly<Record<string, Value>>): void {
  attempt.down.run(() =>
    andThen(bringAll(deps.values, attempt, values), (ready) =>
      tellAttempt(attempt, JSON.stringify({ t: "values", argsId: attempt.argsId, values: ready })),
    ),
  );
}

/** A line has room for so many values of 16 KiB. */
const valuesPerLine = 64;

function giveOutputs(deps: RelayDeps, attempt: Attempt, outputs: Readonly<Record<string, Value>>): void {
  const all = Object.entries(outputs);
  for (let from = 0; from < all.length; from += valuesPerLine) {
    giveValues(deps, attempt, Object.fromEntries(all.slice(from, from + valuesPerLine)));
  }
}

export function bringAll(
  values: Values,
  attempt: Attempt,
  named: Readonly<Record<string, Value>>,
): Record<string, ProgramValue> | Promise<Record<string, ProgramValue>> {
  const keys = Object.keys(named);
  const brought = Object.values(named).map((value) => values.bring(attempt, value));
  const join = (ready: readonly ProgramValue[]) =>
    Object.fromEntries(ready.map((value, index) => [keys[index] ?? "", value]));
  if (brought.some((value) => value instanceof Promise)) return Promise.all(brought).then(join);
  return join(brought as ProgramValue[]);
}

/** To the program, or to be said as soon as it has its work. */
function tellAttempt(attempt: Attempt, line: string): void {
  if (attempt.host !== null) attempt.host.tellOf(attempt, line);
  else attempt.early.push(line);
}

/** What an answer comes to, once the values in it have been stored; `finished` is called at once where there are none. */
export function relayAnswer(
  deps: RelayDeps,
  attempt: Attempt,
  answer: Answer,
  finished: (result: Result) => void,
): void {
  attempt.up.run(() => {
    if (answer.t === "fail") {
      finished({ ...failed(attempt, answer), ...checksOf(answer) } as Result);
    } else if (answer.t === "restart") {
      return andThen(deps.values.take(attempt, answer.input), (input) => finished({ kind: "restart", input }));
    } else if (answer.files !== undefined && answer.files.length > 0) {
      return takeFiles(deps, attempt, answer).then((output) => finished({ kind: "done", output, ...checksOf(answer) }));
    } else {
      const { output } = answer;
      return andThen(deps.values.take(attempt, output), (value) =>
        finished({ kind: "done", output: value, ...checksOf(answer) }),
      );
    }
  });
}

/** An attempt that was told to stop and says so came to be cancelled; any other failure is what it says (A51). */
function failed(attempt: Attempt, answer: Extract<Answer, { t: "fail" }>): Result {
  const failure = boundFailure(answer.failure);
  if (attempt.stop !== null && failure.type === "CancelledError") return { kind: "cancelled", failure };
  return { kind: "fail", failure, answered: true };
}

async function takeFiles(deps: RelayDeps, attempt: Attempt, answer: Extract<Answer, { t: "done" }>): Promise<Value> {
  for (const file of answer.files ?? []) await deps.values.takeFile(attempt, file);
  return await deps.values.take(attempt, answer.output);
}

const checksCharsMax = 64 * 1024;

function checksOf(answer: { checks?: CheckResult[] }): { checks?: CheckResult[] } {
  if (answer.checks === undefined) return {};
  const checks = answer.checks.slice(0, 100);
  if (JSON.stringify(checks).length <= checksCharsMax) return { checks };
  return { checks: checks.map(({ details: _, ...check }) => check) };
}

function andThen<T>(value: T | Promise<T>, step: (value: T) => void): void | Promise<void> {
  if (value instanceof Promise) return value.then(step);
  step(value);
}
