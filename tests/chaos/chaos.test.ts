import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { faultsOf, mountSmallFolder } from "../support/fleet-faults.ts";
import { buildJourneys, registerJourneys, seededRandom } from "../support/journeys.ts";
import { missingForFleet, type SaltFleet, startFleet } from "../support/start-fleet.ts";
import { runUnderFire, type Shape } from "../support/wave-under-fire.ts";

/**
 * Promises 1 to 4 on the parts that a production has: three coordinators, one Redis that loses nothing
 * (`appendfsync always`), an S3 server, four agents, and everything that can happen to them.
 *
 * `SALT_CHAOS_TASKS` and `SALT_CHAOS_FAULTS` say how long; `npm run chaos` takes 20,000 tasks.
 */
const tasks = Number(process.env.SALT_CHAOS_TASKS ?? 4_000);
const faultCount = Number(process.env.SALT_CHAOS_FAULTS ?? 14);
const leaseTtlMs = 2_000;
const agents = 4;
const slots = 2;
/** About how long a fault lasts. */
const faultMs = 2_500;
const agentDiskBytes = 512 * 1024 * 1024;

/** About so many tasks: a first wave, half as many again that its outputs ask for, and a chain. */
const shapeOf = (count: number): Shape => ({ first: Math.round(count * 0.395), steps: Math.round(count * 0.0125) });

describe.skipIf(missingForFleet() !== null)("chaos", () => {
  const small = mkdtempSync(path.join(tmpdir(), "salt-chaos-"));
  let unmount: (() => void) | null = null;
  let fleet: SaltFleet;

  beforeAll(async () => {
    unmount = mountSmallFolder(small, agentDiskBytes);
    if (unmount === null) console.warn("No small disk can be mounted here (it takes root): no disk is filled.");
    const manifest = await buildJourneys();
    fleet = await startFleet({
      coordinators: 3,
      agents,
      slots,
      flags: ["--lease-ttl", `${leaseTtlMs}ms`],
      ...(unmount === null ? {} : { firstAgentData: path.join(small, "agent-1") }),
    });
    await registerJourneys(fleet, manifest);
  }, 180_000);

  afterAll(async () => {
    await fleet?.close();
    unmount?.();
    rmSync(small, { recursive: true, force: true });
  });

  test(
    "A1 A2 A5 A18 A20 A25 A31 a run of dynamic shape ends right, each task settled once, whatever happens to whichever part",
    async () => {
      const random = seededRandom("chaos");
      const faults = faultsOf(fleet, { random, leaseTtlMs, smallFolder: unmount === null ? null : small });
      const report = await underFaults(fleet, faults, random);
      tell(report);
      for (const { lives } of fleet.coordinators) {
        for (const life of lives)
          expect(life.stderr(), "nothing went wrong that has no name").not.toMatch(/"level":60/);
      }
    },
    15 * 60_000,
  );
});

interface Report {
  readonly tasks: number;
  readonly executions: number;
  readonly tookMs: number;
  readonly faults: readonly string[];
}

async function underFaults(
  fleet: SaltFleet,
  faults: ReturnType<typeof faultsOf>,
  random: () => number,
): Promise<Report> {
  // Each kind once, and then whatever comes.
  const kinds = Object.keys(faults).sort(() => random() - 0.5);
  const done: string[] = [];
  let turn = 0;
  const {
    executions,
    tookMs,
    tasks: count,
  } = await runUnderFire(fleet, {
    shape: shapeOf(tasks),
    random,
    kills: faultCount,
    // The run is to last about as long as the faults do.
    paceMs: Math.ceil((faultCount * faultMs * agents * slots) / tasks),
    timeoutMs: 12 * 60_000,
    async kill() {
      const kind = turn < kinds.length ? kinds[turn] : kinds[Math.floor(random() * kinds.length)];
      turn += 1;
      const startedAtMs = performance.now();
      const what = await faults[kind ?? ""]?.();
      done.push(`${what} (${Math.round(performance.now() - startedAtMs)} ms)`);
      return what ?? "nothing";
    },
  });
  return { tasks: count, executions, tookMs, faults: done };
}

function tell({ tasks: count, executions, tookMs, faults }: Report): void {
  const lines = [
    `# Chaos: ${count} tasks, ${executions} executions, ${faults.length} faults, ${(tookMs / 1_000).toFixed(1)} s`,
    "",
    `The output was right, and each of the ${count} tasks settled once; ${executions - count} executions more than tasks.`,
    "",
    ...faults.map((fault, index) => `${index + 1}. ${fault}`),
  ];
  const text = `${lines.join("\n")}\n`;
  console.info(text);
  const { SALT_CHAOS_REPORT: file } = process.env;
  if (file === undefined) return;
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
}
