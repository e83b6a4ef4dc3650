import type { Failure } from "#shared/domain/errors.ts";
import type { ProgramValue } from "#shared/protocol/task.ts";
import type { Programs } from "../cache/programs.ts";
import { failureFrom } from "../failures.ts";
import { type Attempt, isOver, type PreparedInput } from "../leases/attempt.ts";
import { bringManyRefs } from "./many-refs.ts";
import type { Values } from "./program-values.ts";
import { bringAll } from "./relay.ts";

export interface PrepareDeps {
  readonly programs: Programs;
  readonly values: Values;
}

export interface Prepared {
  ready(attempt: Attempt): void;
  failed(attempt: Attempt, failure: Failure): void;
}

/** Brings an attempt's binary and values to this machine. `ready` is called at once when they are here already. */
export function prepareAttempt(deps: PrepareDeps, attempt: Attempt, then: Prepared): void {
  const { lease } = attempt;
  const input = deps.values.bring(attempt, lease.input);
  const refs = bringRefs(deps.values, attempt);
  const isHere = deps.programs.ready(lease) !== null;
  if (isHere && !(input instanceof Promise) && !(refs instanceof Promise)) {
    hold(attempt, input, refs);
    then.ready(attempt);
    return;
  }
  void bring(deps, attempt, Promise.all([input, refs])).then((failure) => {
    // Stopped, stale or given back meanwhile.
    if (isOver(attempt)) return;
    if (failure === null) then.ready(attempt);
    else then.failed(attempt, failure);
  });
}

type Refs = Pick<PreparedInput, "refs" | "manyRefs">;
type Brought = [ProgramValue, Refs];

function bringRefs(values: Values, attempt: Attempt): Refs | Promise<Refs> {
  const { refs, manyRefs } = attempt.lease;
  if (manyRefs) return bringManyRefs(values, attempt, manyRefs).then((file) => ({ manyRefs: file }));
  if (!refs) return {};
  const brought = bringAll(values, attempt, refs);
  return brought instanceof Promise ? brought.then((ready) => ({ refs: ready })) : { refs: brought };
}

async function bring(deps: PrepareDeps, attempt: Attempt, values: Promise<Brought>): Promise<Failure | null> {
  const { binaryBytes: bytes, ...need } = attempt.lease;
  attempt.abort ??= new AbortController();
  // Awaited only after the binary; its failure must not go unheard until then.
  values.catch(() => {});
  try {
    await deps.programs.acquire({ ...need, bytes }, attempt.abort.signal);
  } catch (error) {
    return failureFrom(error, "BinaryUnavailable");
  }
  try {
    hold(attempt, ...(await values));
    return null;
  } catch (error) {
    return failureFrom(error, "ValueUnavailable");
  }
}

function hold(attempt: Attempt, input: ProgramValue, refs: Refs): void {
  attempt.prepared = { input, ...refs };
}
