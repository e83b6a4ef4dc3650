import type { Journey } from "#coordinator/journey.ts";
import { SaltError } from "#shared/domain/errors.ts";
import type { Partition, RunId } from "#shared/domain/ids.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import { Life } from "./life.ts";
import { eventValue, type Plan, signalValue, waitsFor } from "./plan.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SimCoordinator } from "./sim-coordinator.ts";
import { addMark } from "./tally.ts";
import type { Trace } from "./trace.ts";

interface ClientDeps {
  readonly scheduler: Scheduler;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly anyCoordinator: () => SimCoordinator | null;
  /** The run that goes on from one that was restarted, else the run itself. */
  readonly latestOf: (run: RunId) => Promise<RunId>;
  /** The runs that a retry of it has made, whoever heard of them. */
  readonly retriesOf: (run: RunId) => Promise<readonly RunId[]>;
  readonly onBroken: (what: string) => void;
  readonly partition: Partition;
  /** What runs that are opened by chance do. */
  readonly drawPlan: (random: SeededRandom) => Plan;
}

/** A run that was asked for, and what was acknowledged about it. */
export interface Asked {
  readonly key: string;
  readonly plan: Plan;
  run: RunId | null;
  readonly signals: { readonly run: RunId; readonly id: string }[];
  cancelAcknowledged: boolean;
  cancelAsked: boolean;
}

/** A new run that a retry of an ended one was answered with. */
export interface Retried {
  readonly of: Asked;
  readonly run: RunId;
}

const answerWithinMs = 3_000;

/** People and programs who ask a coordinator for something, again and again until one of them answers. */
export class Clients {
  readonly asked: Asked[] = [];
  readonly retried: Retried[] = [];
  /** Runs of which a retry was asked for and not answered: it may have been made all the same. */
  readonly #perhapsRetried: Asked[] = [];
  readonly #deps: ClientDeps;
  readonly #life: Life;
  #signals = 0;
  #events = 0;
  #marks = 0;
  /** Marks that were acknowledged. */
  readonly marked: string[] = [];
  waiting = 0;

  constructor(deps: ClientDeps) {
    this.#deps = deps;
    this.#life = new Life("client", deps.scheduler, { offsetMs: Date.UTC(2026, 0, 1) }, 0);
  }

  /** Does something by chance. */
  stir(): void {
    const { random } = this.#deps;
    if (this.asked.length < 10 && random.chance(0.4)) this.openRun(this.#deps.drawPlan(random));
    if (random.chance(0.3)) this.addMarks();
    const asked = this.#any();
    if (!asked) return;
    const draw = random.float();
    if (draw < 0.3) void this.signal(asked);
    else if (draw < 0.5) this.sendEvent();
    else if (draw < 0.55) this.cancel(asked);
    else if (draw < 0.6) this.retry(asked);
  }

  /** Sends what open runs wait for. */
  help(): void {
    for (const asked of this.asked) if (waitsFor(asked.plan, "signal")) void this.signal(asked);
    for (const { run, of } of this.retried) if (waitsFor(of.plan, "signal")) void this.signal({ ...of, run });
    for (const of of this.#perhapsRetried) if (waitsFor(of.plan, "signal")) void this.#signalRetries(of);
    if (this.asked.some(({ plan }) => mayWaitForEvent(plan))) this.sendEvent();
  }

  openRun(plan: Plan): Asked {
    const key = `k${this.asked.length + 1}`;
    const asked: Asked = { key, plan, run: null, signals: [], cancelAcknowledged: false, cancelAsked: false };
    this.asked.push(asked);
    const input = { json: JSON.stringify(plan) };
    const trigger = { kind: "manual", name: null, by: "client" } as const;
    const identity = { source: "api", key, digest: "d" };
    this.#ask(
      `open ${key}`,
      ({ runs }) => runs.openRun({ project: "demo", workflow: "main", input, trigger, identity }),
      (outcome) => {
        asked.run = outcome.run;
      },
    );
    return asked;
  }

  async signal(asked: Asked): Promise<void> {
    if (asked.run === null) return;
    const run = await this.#deps.latestOf(asked.run);
    this.#signals += 1;
    const id = `s${this.#signals}`;
    const value = { json: String(signalValue) };
    this.#ask(
      `signal ${id} ${run}`,
      ({ runs }) => runs.signalRun({ run, name: "go", id, value, by: "client" }),
      ({ kind }) => {
        if (kind === "done") asked.signals.push({ run, id });
      },
    );
  }

  async #signalRetries(of: Asked): Promise<void> {
    if (of.run === null) return;
    for (const run of await this.#deps.retriesOf(of.run)) void this.signal({ ...of, run });
  }

  sendEvent(): void {
    this.#events += 1;
    const id = `e${this.#events}`;
    const value = { json: String(eventValue) };
    this.#ask(`event ${id}`, ({ runs }) => runs.sendEvent({ project: "demo", name: "paid", id, value, by: "client" }));
  }

  cancel(asked: Asked): void {
    const { run } = asked;
    if (run === null) return;
    asked.cancelAsked = true;
    this.#ask(
      `cancel ${run}`,
      ({ runs }) => runs.cancelRun({ run, reason: "chance", by: "client" }),
      ({ kind }) => {
        if (kind === "done") asked.cancelAcknowledged = true;
      },
    );
  }

  /** Asked once, as asking twice makes two runs. */
  retry(of: Asked): void {
    const { run } = of;
    if (run === null || this.retried.length >= 2) return;
    const once = ({ runs }: Journey) => runs.retryRun({ run, by: "client" });
    const unanswered = () => void this.#perhapsRetried.push(of);
    this.#ask(`retry ${run}`, once, (next) => next && this.retried.push({ of, run: next }), unanswered);
  }

  /** Several at a coordinator at once, and at others beside it. */
  addMarks(): void {
    const { partition, random } = this.#deps;
    for (let count = random.between(2, 6); count > 0; count -= 1) {
      this.#marks += 1;
      const mark = `m${this.#marks}`;
      const add = ({ mover }: Journey) => mover.move(partition, addMark, { partition, mark });
      this.#ask(`mark ${mark}`, add, () => this.marked.push(mark));
    }
  }

  #any(): Asked | undefined {
    return this.asked[this.#deps.random.between(0, this.asked.length - 1)];
  }

  /** Asks until it is answered, or once where no answer is taken for one; a refusal that says so is no reason to ask again. */
  #ask<T>(
    what: string,
    request: (journey: Journey) => Promise<T>,
    answered: (answer: T) => void = () => undefined,
    unanswered: (() => void) | null = null,
  ): void {
    const { trace, anyCoordinator, onBroken, random } = this.#deps;
    this.waiting += 1;
    let over = false;
    const end = (how: string) => {
      over = true;
      this.waiting -= 1;
      trace.note("client", what, how);
    };
    const attempt = () => {
      if (over) return;
      const again = this.#life.clock.after(answerWithinMs, () => {
        if (unanswered === null) return attempt();
        if (over) return;
        end("unanswered");
        unanswered();
      });
      const coordinator = anyCoordinator();
      if (coordinator === null) return;
      const hear = (then: () => void) => this.#life.reach(1 + random.float() * 3, () => !over && then());
      coordinator.life.reach(1 + random.float() * 3, () => {
        request(coordinator.journey).then(
          (answer) =>
            coordinator.life.send(0, () =>
              hear(() => {
                again.cancel();
                end(`answered ${JSON.stringify(answer)}`);
                answered(answer);
              }),
            ),
          (error: unknown) =>
            hear(() => {
              if (error instanceof SaltError && error.retryable) return;
              again.cancel();
              end(`refused: ${error}`);
              if (!(error instanceof SaltError && error.code === "Conflict")) onBroken(`${what}: ${error}`);
            }),
        );
      });
    };
    attempt();
  }
}

function mayWaitForEvent(plan: Plan): boolean {
  return JSON.stringify(plan).includes('"event"');
}
