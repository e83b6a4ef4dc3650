import { task, workflow, z } from "@salt/sdk";
import { Counted, count, pause } from "./effects.ts";

/** So often that no test uses them up by killing programs. */
const retry = { attempts: 50, backoffMs: 20, factor: 1 };

const Grown = z.object({ index: z.number(), children: z.number() });

export const grow = task(
  { name: "grow", input: Counted.extend({ index: z.number() }), output: Grown, retry },
  async ({ index, ...counted }, context) => {
    count(counted, context.task);
    await pause(counted.paceMs);
    return { index, children: (index * 7) % 4 };
  },
);

export const leaf = task(
  { name: "leaf", input: Counted.extend({ grown: Grown, child: z.number() }), output: z.number(), retry },
  async ({ grown, child, ...counted }, context) => {
    count(counted, context.task);
    await pause(counted.paceMs);
    return grown.index * 10 + child;
  },
);

export const step = task(
  { name: "step", input: Counted.extend({ n: z.number() }), output: z.number(), retry },
  async ({ n, ...counted }, context) => {
    count(counted, context.task);
    await pause(counted.paceMs);
    return n + 1;
  },
);

/**
 * A first wave, whose outputs say how large the second is, and a chain beside both. Of the second wave each task is
 * given the ref of its parent, and the order in which all of it is settled is part of the output.
 */
export const wave = workflow(
  {
    name: "wave",
    input: Counted.extend({ first: z.number(), steps: z.number() }),
    output: z.object({ tasks: z.number(), sum: z.number(), chain: z.number() }),
  },
  async ({ first, steps, ...counted }) => {
    const chain = (async () => {
      let n = 0;
      for (let made = 0; made < steps; made++) n = await step({ n, ...counted });
      return n;
    })();
    const grown = Array.from({ length: first }, (_, index) => grow({ index, ...counted }));
    const leaves = (await Promise.all(grown)).flatMap(({ index, children }) =>
      Array.from({ length: children }, (_, child) =>
        leaf({ grown: grown[index] ?? { index, children }, child, ...counted }, { key: `leaf ${index}.${child}` }),
      ),
    );
    const values = await Promise.all(leaves);
    const sum = values.reduce((total, value) => total + value, 0);
    return { tasks: first + leaves.length + steps, sum, chain: await chain };
  },
);
