import { spawn } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { CancelledError, restart, shielded, sleep, task, waitForEvent, waitForSignal, workflow, z } from "@salt/sdk";
import { Counted, count, pause } from "./effects.ts";

export const sleeper = workflow({ name: "sleeper", input: z.object({ ms: z.number() }) }, async ({ ms }) => {
  await sleep(ms);
  return "slept";
});

/** Waits for so many signals `say`, and returns them in their order. */
export const collect = workflow({ name: "collect", input: z.object({ count: z.number() }) }, async ({ count }) => {
  const said: unknown[] = [];
  while (said.length < count) said.push(await waitForSignal("say"));
  return said;
});

export const approval = workflow(
  { name: "approval", input: Counted, output: z.object({ asked: z.number(), approvedBy: z.string() }) },
  async (counted) => {
    const asked = await note({ ...counted, value: 7 });
    const { by } = await waitForSignal("decision", { schema: z.object({ by: z.string() }) });
    return { asked, approvedBy: by };
  },
);

export const awaitOrder = workflow(
  { name: "awaitOrder", input: z.object({ id: z.number(), timeoutMs: z.number().default(60_000) }) },
  async ({ id, timeoutMs }) => await waitForEvent("order", { match: { "/id": id }, timeoutMs }),
);

/** Counts its execution, waits, and gives its value back. */
export const note = task(
  { name: "note", input: Counted.extend({ value: z.number() }), output: z.number(), retry: { attempts: 3 } },
  async ({ value, ...counted }, context) => {
    count(counted, context.task);
    await pause(counted.paceMs);
    return value;
  },
);

/** Leaves a task to itself, and another to be cancelled when the workflow returns. */
export const leave = workflow({ name: "leave", input: Counted }, async (counted) => {
  note({ ...counted, value: 1 }, { key: "kept", detached: true });
  note({ ...counted, paceMs: 60_000, value: 2 }, { key: "dropped" });
  await sleep(1);
  return "left";
});

/** A task with children of its own: a process group. `pids` is where their ids are written. */
export const family = task(
  { name: "family", input: z.object({ pids: z.string(), deaf: z.boolean().default(false) }) },
  async ({ pids, deaf }) => {
    if (deaf) process.on("SIGTERM", () => {});
    const children = [
      spawn("sleep", ["600"], { stdio: "ignore" }),
      spawn("sh", ["-c", "trap '' TERM; sleep 600 & wait"], { stdio: "ignore" }),
    ];
    writeFileSync(pids, JSON.stringify([process.pid, ...children.map((child) => child.pid)]));
    await pause(600_000);
  },
);

export const household = workflow(
  { name: "household", input: z.object({ pids: z.string(), deaf: z.boolean().default(false) }) },
  async (input) => {
    await family(input);
  },
);

/** Undoes what it did when it is cancelled. */
export const compensated = workflow({ name: "compensated", input: Counted }, async (counted) => {
  await note({ ...counted, paceMs: 0, value: 1 }, { key: "do" });
  try {
    await sleep(600_000);
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    await shielded(async () => await note({ ...counted, paceMs: 0, value: 2 }, { key: "undo" }));
    throw error;
  }
});

/** Each round is a run of its own. */
export const rounds = workflow(
  { name: "rounds", input: Counted.extend({ left: z.number(), sum: z.number().default(0) }) },
  async ({ left, sum, ...counted }) => {
    if (left === 0) return sum;
    return restart({ ...counted, left: left - 1, sum: sum + (await note({ ...counted, value: left })) });
  },
);

/** Fails for as long as a file is not there. */
export const gate = task({ name: "gate", input: z.object({ file: z.string() }) }, async ({ file }) => {
  if (!existsSync(file)) throw new Error("the gate is shut");
  return "open";
});

export const gated = workflow({ name: "gated", input: Counted.extend({ file: z.string() }) }, async (input) => {
  const before = await note({ ...input, value: 1 });
  const state = await gate({ file: input.file });
  const after = await note({ ...input, value: 2 });
  return [before, state, after];
});

/** Calls a task and itself at each level. */
export const nest = workflow(
  { name: "nest", input: Counted.extend({ levels: z.number() }), output: z.number() },
  async ({ levels, ...counted }): Promise<number> => {
    const before = await note({ ...counted, value: levels });
    if (levels === 0) return before;
    const [beside, below] = await Promise.all([note({ ...counted, value: 100 }), deeper({ levels, counted })]);
    return before + beside + below + (await note({ ...counted, value: 1 }));
  },
);

/** A workflow cannot name itself in its own initialiser's type: this says what it gives. */
const deeper = async ({ levels, counted }: { levels: number; counted: Counted }): Promise<number> =>
  await nest({ ...counted, levels: levels - 1 });

/** Has a long journal when it begins to wait, again and again, and answers each signal with a task. */
export const historian = workflow(
  { name: "historian", input: Counted.extend({ entries: z.number(), signals: z.number() }) },
  async ({ entries, signals, ...counted }) => {
    const notes = Array.from({ length: entries / 2 }, (_, value) => note({ ...counted, value }));
    let sum = (await Promise.all(notes)).reduce((all, value) => all + value, 0);
    for (let n = 0; n < signals; n += 1) {
      const said = await waitForSignal<number>("say");
      sum += await note({ ...counted, value: said }, { key: `answer ${n}` });
    }
    return sum;
  },
);

/** Awaits an output long after it came, and needs it again when it is replayed once more. */
export const late = workflow({ name: "late", input: Counted }, async (counted) => {
  const early = note({ ...counted, value: 1 });
  await note({ ...counted, value: 2 });
  const first = await waitForSignal("say");
  const value = await early;
  return [value, first, await waitForSignal("say")];
});
