import type { Row } from "./rows.ts";

/** How much each benchmark does in a round. */
export interface Sizes {
  /** Tasks of a fan-out. */
  readonly tasks: number;
  /** Awaited calls, one after another. */
  readonly calls: number;
  /** Runs from request to output, one after another. */
  readonly runs: number;
  /** Parked runs that are resumed, one after another. */
  readonly resumes: number;
  /** Runs parked at once, for what each takes of memory. */
  readonly parked: number;
  /** Tasks that the engine passes in batches of 100 moves; of those of one move a tenth. */
  readonly engineTasks: number;
  /** Set-ups of BullMQ that are tried, of which the best takes part. */
  readonly setups: number;
  /** How many agents are connected at once, in one step after another. */
  readonly agents: readonly number[];
  /** For how long they are watched doing nothing. */
  readonly idleMs: number;
}

export const usualSizes: Sizes = {
  tasks: 10_000,
  calls: 1_000,
  runs: 200,
  resumes: 50,
  parked: 1_000,
  engineTasks: 10_000,
  setups: 4,
  agents: [1_000, 5_000],
  idleMs: 60_000,
};

export interface BenchDeps {
  readonly rounds: number;
  readonly sizes: Sizes;
  /** Called with a line for people as the work goes on. */
  readonly say: (line: string) => void;
  /** The workflow that fans out. Default `fan-out`; tests plant a faulty one. */
  readonly fanOutWorkflow?: string;
}

export interface Measured {
  readonly rows: readonly Row[];
  /** Why rows are void; none when all is well. */
  readonly problems: readonly string[];
}

/** What has to be closed, closed in reverse, whatever happens. */
export async function using<Value>(
  work: (closing: (close: () => Promise<void>) => void) => Promise<Value>,
): Promise<Value> {
  const closes: (() => Promise<void>)[] = [];
  try {
    return await work((close) => closes.push(close));
  } finally {
    for (const close of closes.reverse()) await close();
  }
}
