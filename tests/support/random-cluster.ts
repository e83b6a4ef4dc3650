import { type Engine, type Key, queueIndex } from "#coordinator/engine/engine.ts";
import { createFailingEngine, type FailingEngine } from "#coordinator/engine/failing/failing-engine.ts";
import { ManualClock } from "#coordinator/engine/manual-clock.ts";
import { createMemoryEngine } from "#coordinator/engine/memory/memory-engine.ts";
import { runsIndex } from "#coordinator/records.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { partitionAt, type RunId } from "#shared/domain/ids.ts";
import { memoryBlobs } from "./memory-blobs.ts";
import { RandomAgent } from "./random-agent.ts";
import { SeededRandom } from "./seeded-random.ts";
import { startJourney } from "./start-journey.ts";

const faults = { refuse: 0.01, loseAnswer: 0.02, applyLate: 0.01, delay: 0.05, delayMsMax: 200 };
const stepMs = 25;
/** Turns of the event loop for each step: what a step sets off may end in a later one. */
const turnsPerStep = 4;
const wildForMs = 40_000;
const calmForMs = 600_000;
const leaseTtlMs = 6_000;
const partition = partitionAt(0);

type Coordinator = Awaited<ReturnType<typeof startJourney>>;

/**
 * A cluster on a virtual clock that does the same for the same seed: coordinators over one engine that fails, agents
 * whose programs and connections fail, runs that are cancelled, signalled and tried again by chance. Then all that ends,
 * and what is left has to come to rest.
 */
export class RandomCluster {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  readonly engine: Engine;
  /** Every index that was ever written. */
  readonly indexes = new Set<Key>();
  /** What nobody should have logged. */
  readonly broken: unknown[] = [];
  readonly agents: RandomAgent[];
  readonly #blobs = memoryBlobs();
  readonly #failing: FailingEngine[] = [];
  #coordinators: Coordinator[] = [];
  readonly #coordinatorsMax: number;
  #wild = true;
  #signals = 0;
  #opened = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.engine = this.#watched(createMemoryEngine({ clock: this.clock }));
    this.#coordinatorsMax = this.random.between(1, 2);
    this.agents = Array.from({ length: this.random.between(1, 2) }, (_, index) => this.#agent(index));
  }

  get nowMs(): number {
    return this.clock.monotonicMs();
  }

  /** Lives through the faults; answers whether `isAtRest` came to hold after them. */
  async live(isAtRest: () => Promise<boolean>): Promise<boolean> {
    while (this.nowMs < wildForMs) {
      await this.#meddle();
      await this.#step();
    }
    this.#wild = false;
    const calm = Promise.all(this.#failing.map((engine) => engine.calm()));
    await this.#pass(1_000);
    await calm;
    for (const end = this.nowMs + calmForMs; this.nowMs < end; await this.#pass(5_000)) {
      await this.#keepCoordinators();
      if (await isAtRest()) return true;
    }
    return false;
  }

  async close(): Promise<void> {
    for (const coordinator of this.#coordinators) coordinator.close();
    await this.engine.close();
  }

  async runs(): Promise<RunId[]> {
    const { rows } = await this.engine.range(runsIndex(partition), { limit: 10_000 });
    return rows.map(({ member }) => member as RunId);
  }

  async #pass(ms: number): Promise<void> {
    for (const end = this.nowMs + ms; this.nowMs < end; ) await this.#step();
  }

  async #step(): Promise<void> {
    this.clock.pass(stepMs);
    for (const agent of this.agents) agent.tick();
    for (let turn = 0; turn < turnsPerStep; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  #agent(index: number): RandomAgent {
    return new RandomAgent(`agt_${"0".repeat(25)}${index + 1}`, {
      random: this.random,
      nowMs: () => this.nowMs + 100_000,
      dial: () => {
        const coordinator = this.#anyCoordinator();
        return coordinator ? (socket) => coordinator.fleet.accept(socket) : null;
      },
      leaseTtlMs,
      isWild: () => this.#wild,
    });
  }

  #anyCoordinator(): Coordinator | undefined {
    return this.#coordinators[this.random.between(0, this.#coordinators.length - 1)];
  }

  async #keepCoordinators(): Promise<void> {
    while (this.#coordinators.length < this.#coordinatorsMax) {
      const engine = createFailingEngine(this.engine, { clock: this.clock, random: this.random, faults });
      if (!this.#wild) void engine.calm();
      this.#failing.push(engine);
      const logger = { info: () => undefined, warn: (fields: object) => this.#note(fields) };
      const tasks = { work: { retry: { attempts: 3, backoffMs: 400 } }, other: { queueTimeoutMs: 30_000 } };
      // Registers past the faults, and then lives with them.
      const { clock, random } = this;
      this.#coordinators.push(
        await startJourney({
          engine,
          register: this.engine,
          clock,
          random,
          logger,
          tasks,
          leaseTtlMs,
          blobs: this.#blobs,
        }),
      );
    }
  }

  #note(fields: object): void {
    const error = "err" in fields ? fields.err : fields;
    if (!(error instanceof SaltError && error.retryable)) this.broken.push(error);
  }

  /** What happens to the cluster from outside. */
  async #meddle(): Promise<void> {
    const { random } = this;
    if (random.chance(0.001)) this.#coordinators.splice(0, 1)[0]?.close();
    if (this.#coordinators.length === 0 && !random.chance(0.02) && this.nowMs > 0) return;
    await this.#keepCoordinators();
    const { runs } = this.#anyCoordinator() as Coordinator;
    if (this.#opened < 12 && random.chance(0.02)) {
      this.#opened += 1;
      const trigger = { kind: "manual", name: null, by: "test" } as const;
      const identity = { source: "api", key: `k${this.#opened}`, digest: "d" };
      this.#ask(() => runs.openRun({ project: "demo", workflow: "main", input: { json: "{}" }, trigger, identity }));
    }
    const known = await this.runs();
    const run = known[random.between(0, known.length - 1)];
    if (!run) return;
    if (random.chance(0.01)) this.#ask(() => runs.cancelRun({ run, reason: "chance", by: "test" }));
    if (random.chance(0.005)) this.#ask(() => runs.retryRun({ run, by: "test" }));
    if (random.chance(0.05)) {
      this.#signals += random.between(0, 1);
      const id = `s${this.#signals}`;
      this.#ask(() => runs.signalRun({ run, name: "go", id, value: { json: "1" }, by: "test" }));
    }
    if (random.chance(0.02)) {
      const id = `e${this.#signals}`;
      this.#ask(() => runs.sendEvent({ project: "demo", name: "paid", id, value: { json: "1" }, by: "test" }));
    }
  }

  /** A client's request, which may be refused. */
  #ask(request: () => Promise<unknown>): void {
    request().catch((error: unknown) => {
      const expected = error instanceof SaltError && (error.retryable || error.code === "Conflict");
      if (!expected) this.broken.push(error);
    });
  }

  #watched(engine: Engine): Engine {
    return {
      get: (keys) => engine.get(keys),
      range: (index, query) => engine.range(index, query),
      read: (...args) => engine.read(...args),
      listen: (topics, signal) => engine.listen(topics, signal),
      close: () => engine.close(),
      commit: (name, batch, claim) => {
        for (const { writes } of batch) {
          for (const write of writes) {
            if (write.kind === "rank") this.indexes.add(write.index);
            if (write.kind === "enqueue") this.indexes.add(queueIndex(name, write.queue));
          }
        }
        return claim ? engine.commit(name, batch, claim) : engine.commit(name, batch);
      },
    };
  }
}
