import { SaltError } from "#shared/domain/errors.ts";
import type { Partition } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { ClaimWant, Committed, Engine, Hint, Key, RangeQuery, Transaction } from "../engine.ts";
import { failingHints } from "./failing-hints.ts";

/** Probabilities from 0 to 1, drawn for each call on its own; absent is 0. */
export interface Faults {
  /** The call fails, and nothing was done. */
  readonly refuse?: number;
  /** The commit is applied, and its answer is lost: the caller cannot tell it from one that was refused. */
  readonly loseAnswer?: number;
  /** The commit fails, and is applied up to `delayMsMax` later: after the caller has tried again, perhaps. */
  readonly applyLate?: number;
  /** The call waits up to `delayMsMax` before it begins, so that those after it may overtake it. */
  readonly delay?: number;
  /** 100 by default. */
  readonly delayMsMax?: number;
  readonly dropHint?: number;
  /** A hint comes twice. */
  readonly repeatHint?: number;
}

export interface FailingEngine extends Engine {
  /** How often each fault struck. */
  readonly struck: Readonly<Record<FaultKind, number>>;
  /** No more faults, and no commit still to be applied late when the promise is kept. */
  calm(): Promise<void>;
}

export type FaultKind = Exclude<keyof Faults, "delayMsMax">;

export interface FailingEngineDeps {
  readonly random: Random;
  readonly clock: Clock;
  readonly faults: Faults;
}

/** An engine whose network is bad. The errors are `Unavailable`, as a real one's would be. */
export function createFailingEngine(engine: Engine, deps: FailingEngineDeps): FailingEngine {
  return new Failing(engine, deps);
}

class Failing implements FailingEngine {
  readonly struck = { refuse: 0, loseAnswer: 0, applyLate: 0, delay: 0, dropHint: 0, repeatHint: 0 };
  readonly #engine: Engine;
  readonly #deps: FailingEngineDeps;
  readonly #late = new Set<Promise<unknown>>();
  #calm = false;

  constructor(engine: Engine, deps: FailingEngineDeps) {
    this.#engine = engine;
    this.#deps = deps;
  }

  async get(keys: readonly Key[]) {
    await this.#meet("read records");
    return this.#engine.get(keys);
  }

  async range(index: Key, query: RangeQuery) {
    await this.#meet("read an index");
    return this.#engine.range(index, query);
  }

  async read(log: Key, after: number, limit: number, bytesMax?: number) {
    await this.#meet("read a log");
    return this.#engine.read(log, after, limit, bytesMax);
  }

  async commit(partition: Partition, batch: readonly Transaction[], claim?: ClaimWant): Promise<Committed> {
    await this.#meet("commit");
    const apply = () =>
      claim === undefined ? this.#engine.commit(partition, batch) : this.#engine.commit(partition, batch, claim);
    if (this.#strikes("applyLate")) {
      this.#applyLate(apply);
      throw unavailable("commit");
    }
    const committed = await apply();
    if (this.#strikes("loseAnswer")) throw unavailable("commit");
    return committed;
  }

  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<Hint> {
    return failingHints(this.#engine.listen(topics, signal), (kind) => this.#strikes(kind));
  }

  async calm(): Promise<void> {
    this.#calm = true;
    await Promise.allSettled(this.#late);
  }

  async close(): Promise<void> {
    await this.calm();
    await this.#engine.close();
  }

  async #meet(attempted: string): Promise<void> {
    if (this.#strikes("delay")) await this.#wait();
    if (this.#strikes("refuse")) throw unavailable(attempted);
  }

  #strikes(kind: FaultKind): boolean {
    if (this.#calm || this.#deps.random.float() >= (this.#deps.faults[kind] ?? 0)) return false;
    this.struck[kind]++;
    return true;
  }

  #applyLate(apply: () => Promise<unknown>): void {
    const applied = this.#wait()
      .then(apply)
      // Nobody waits for it: what goes wrong with it is one more lost answer.
      .catch(() => undefined)
      .finally(() => this.#late.delete(applied));
    this.#late.add(applied);
  }

  #wait(): Promise<void> {
    const { clock, random, faults } = this.#deps;
    return new Promise((resolve) => {
      clock.after(random.float() * (faults.delayMsMax ?? 100), resolve);
    });
  }
}

const unavailable = (attempted: string): SaltError =>
  new SaltError("Unavailable", `Cannot ${attempted}: the engine did not answer.`, {
    next: "Wait: the coordinator tries again by itself.",
  });
