import { task, waitForSignal, workflow, z } from "@salt/sdk";

const noop = task({ name: "noop", input: z.number(), output: z.number() }, (n) => n);

const Size = z.object({ tasks: z.number() });

/** The numbers below `tasks`, each through a task of its own, added up. */
async function addUp(tasks: number): Promise<number> {
  const outputs = await Promise.all(Array.from({ length: tasks }, (_, n) => noop(n)));
  return outputs.reduce((sum, n) => sum + n, 0);
}

export const fanOut = workflow({ name: "fan-out", input: Size, output: z.number() }, ({ tasks }) => addUp(tasks));

/** A planted fault: one task too few, so that its output and its journal are wrong. The benchmark has to see it. */
export const fanOutShort = workflow({ name: "fan-out-short", input: Size, output: z.number() }, ({ tasks }) =>
  addUp(tasks - 1),
);

/** Awaits one call after another, and returns how many milliseconds each took. */
export const chain = workflow(
  { name: "chain", input: z.object({ calls: z.number() }), output: z.array(z.number()) },
  async ({ calls }) => {
    const times: number[] = [];
    for (let n = 0; n < calls; n += 1) {
      // The clock itself, which no replay repeats, is what is measured here.
      const startMs = performance.now();
      await noop(n);
      times.push(Number((performance.now() - startMs).toFixed(3)));
    }
    return times;
  },
);

export const one = workflow({ name: "one", input: z.number(), output: z.number() }, (n) => noop(n));

/** Waits, parked, until it is told to go on. */
export const waiting = workflow({ name: "waiting", output: z.number() }, () =>
  waitForSignal("go", { schema: z.number() }),
);
