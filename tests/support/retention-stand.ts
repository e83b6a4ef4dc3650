import { createMemoryEngine } from "#coordinator/engine/memory/memory-engine.ts";
import { createMover } from "#coordinator/engine/mover.ts";
import type { Ages } from "#coordinator/retention/ages.ts";
import { keepBlobs } from "#coordinator/retention/keep-blobs.ts";
import { createRetention } from "#coordinator/retention/retention.ts";
import { allPartitions } from "#coordinator/state/projects.ts";
import type { RunId } from "#shared/domain/ids.ts";
import type { AttemptName } from "#shared/protocol/agent.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { FakeAgent } from "./fake-agent.ts";
import { memoryBlobs } from "./memory-blobs.ts";
import { shiftedClock } from "./shifted-clock.ts";
import { startJourney } from "./start-journey.ts";
import { watchEngine } from "./watched-engine.ts";

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

/** What retention works on: an engine and a blob store that outlive the coordinators on them, and a clock. */
export function retentionStand(options: { readonly partitions?: number } = {}) {
  const count = options.partitions ?? 2;
  const clock = shiftedClock();
  const engine = watchEngine(createMemoryEngine({ clock }));
  const store = memoryBlobs();
  const partitions = allPartitions(count);
  const closing: (() => void)[] = [];

  /** The retention of one coordinator, which does nothing by itself. */
  function coordinator(ages: Partial<Ages> = {}, ports: { readonly engine?: typeof engine } = {}) {
    const used = ports.engine ?? engine;
    const mover = createMover({ engine: used, clock, random: systemRandom });
    closing.push(() => mover.close());
    const blobs = keepBlobs({ blobs: store, mover, clock, partitions: count });
    const retention = createRetention({ engine: used, mover, store, blobs, clock, partitions, ages });
    return { mover, blobs, retention };
  }

  /** A whole coordinator with an agent, which may still hold leases. It is closed before time is put forward, so that nothing happens unasked. */
  async function journey(leases: readonly AttemptName[] = []) {
    const started = await startJourney({ engine, clock, partitions: count, blobs: store });
    const agent = new FakeAgent();
    started.fleet.accept(agent.socket);
    agent.hello({ leases: leases.map(({ task, fence }) => ({ task, fence })) });
    await agent.next("welcome");
    agent.credit(8, 8);
    return { ...started, agent };
  }

  return {
    clock,
    engine,
    store,
    partitions,
    coordinator,
    journey,
    close() {
      for (const close of closing) close();
    },
  };
}

export type RetentionStand = ReturnType<typeof retentionStand>;
type Retention = ReturnType<RetentionStand["coordinator"]>["retention"];

/** Looks until there is nothing more to do at once, with the removals that this begins. */
export async function sweepAll(stand: RetentionStand, retention: Retention): Promise<void> {
  for (const partition of stand.partitions) {
    while (await retention.sweep(partition));
    for (;;) {
      const marked = (await stand.engine.contents()).filter((name) => name.startsWith(`{${partition}}removing `));
      if (marked.length === 0) break;
      for (const name of marked) await retention.removeRun(name.split(" ")[1] as RunId);
    }
  }
}

export async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  const startMs = systemClock.monotonicMs();
  while (!(await holds())) {
    if (systemClock.monotonicMs() - startMs > 8_000) throw new Error(`it did not come to hold: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
