import { task, workflow, z } from "@salt/sdk";

/** A task type: any agent may execute it. Its input and output are checked against the schemas. */
export const greet = task(
  { name: "greet", input: z.object({ name: z.string() }), output: z.string() },
  async ({ name }, { log }) => {
    log(`greeting ${name}`);
    return `Hello, ${name}!`;
  },
);

export const shout = task(
  { name: "shout", input: z.object({ text: z.string() }), output: z.string() },
  async ({ text }) => text.toUpperCase(),
);

/** A workflow: plain code that calls task types. */
export const hello = workflow(
  { name: "hello", input: z.object({ name: z.string().default("world") }), output: z.string() },
  async ({ name }) => {
    const greeting = greet({ name });
    // A ref passed on without awaiting it: its value goes from task to task, not through here.
    return await shout({ text: greeting });
  },
);
