import type { SeededRandom } from "../support/seeded-random.ts";

/**
 * How bad the world of one seed is. Rates are mean times between events of a kind, drawn anew for each seed so that
 * some are quiet in one respect and stormy in another; null: never.
 */
export interface FaultPlan {
  readonly wildForMs: number;
  readonly coordinators: number;
  readonly agents: number;
  readonly partitions: number;
  readonly leaseTtlMs: number;
  readonly every: Readonly<Record<Meddling, number | null>>;
  readonly engine: {
    readonly refuse: number;
    readonly loseAnswer: number;
    readonly applyLate: number;
    readonly delay: number;
    readonly delayMsMax: number;
    readonly dropHint: number;
    readonly repeatHint: number;
  };
  /** Of a program: the chance that a task, in the wild time, ends its process, hangs, or is slow. */
  readonly task: { readonly crash: number; readonly hang: number; readonly slow: number };
}

export const meddlings = [
  "killCoordinator",
  "closeCoordinator",
  "stopCoordinator",
  "killAgent",
  "rebootAgent",
  "drainAgent",
  "loseAgent",
  "stopAgent",
  "killProgram",
  "cutLink",
  "halfOpen",
  "lag",
  "slowEngine",
  "wallClock",
  "fullDisk",
  "failOver",
  "cutOff",
] as const;
export type Meddling = (typeof meddlings)[number];

/** Mean milliseconds between two, where the seed has any. `cutOff` is only where it is asked for. */
const usualMs: Readonly<Record<Exclude<Meddling, "cutOff">, number>> = {
  killCoordinator: 8_000,
  closeCoordinator: 15_000,
  stopCoordinator: 12_000,
  killAgent: 8_000,
  rebootAgent: 12_000,
  drainAgent: 20_000,
  loseAgent: 30_000,
  stopAgent: 6_000,
  killProgram: 4_000,
  cutLink: 3_000,
  halfOpen: 9_000,
  lag: 5_000,
  slowEngine: 8_000,
  wallClock: 4_000,
  fullDisk: 15_000,
  failOver: 8_000,
};

/** A plan without chance: what goes wrong is up to the test. */
export const quiet: Omit<FaultPlan, "coordinators" | "agents" | "partitions"> = {
  wildForMs: 0,
  leaseTtlMs: 6_000,
  every: Object.fromEntries(meddlings.map((what) => [what, null])) as Record<Meddling, null>,
  engine: { refuse: 0, loseAnswer: 0, applyLate: 0, delay: 0, delayMsMax: 100, dropHint: 0, repeatHint: 0 },
  task: { crash: 0, hang: 0, slow: 0 },
};

export function drawFaults(random: SeededRandom): FaultPlan {
  const rate = (max: number) => (random.chance(0.5) ? random.float() * max : 0);
  const every = Object.fromEntries(
    Object.entries(usualMs).map(([what, ms]) => [what, random.chance(0.5) ? ms * (0.3 + 2 * random.float()) : null]),
  ) as Record<keyof typeof usualMs, number | null>;
  return {
    wildForMs: random.between(10_000, 30_000),
    coordinators: random.between(1, 3),
    agents: random.between(1, 4),
    partitions: random.between(1, 4),
    leaseTtlMs: random.between(2, 6) * 1_000,
    // Only where it is asked for: a failover loses what was acknowledged.
    every: { ...every, failOver: null, cutOff: null },
    engine: {
      refuse: rate(0.02),
      loseAnswer: rate(0.04),
      applyLate: rate(0.03),
      delay: rate(0.1),
      delayMsMax: random.between(20, 2_000),
      dropHint: random.chance(0.3) ? random.float() : 0,
      repeatHint: rate(0.3),
    },
    task: { crash: rate(0.05), hang: rate(0.02), slow: rate(0.2) },
  };
}
