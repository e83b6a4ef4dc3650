import { expect, it } from "vitest";
import { meddlings } from "./faults.ts";
import { simulate } from "./simulate.ts";

/** What has to happen somewhere, or what is looked for could not be found. */
const events: Readonly<Record<string, RegExp>> = {
  "a commit conflicts with another": /^p\d commit.* conflict: /m,
  "a commit meets an index or log that is not as it was": /^p\d commit.* unmet: /m,
  "an agent is told that its attempt is stale": /← c\d+ .*"t":"stale"/m,
  "a lease is kept over a lost connection": /"verdict":"keep"/m,
  "a lease is found stale at the greeting": /"verdict":"stale"/m,
  "a restarted agent holds what its programs have": /^a\d\.([2-9]|\d\d) → c\d+ \[\{"t":"hello".*"leases":\[\{/m,
  "an agent gives leases back": /"t":"handback"/m,
  "an attempt is lost": /"kind":"lost"/m,
  "a program ends without an answer": /"type":"ProgramExited"/m,
  "an attempt takes too long": /"type":"TimedOut"/m,
  "a task waits too long in its queue": /"type":"QueueTimedOut"/m,
  "a workflow is parked": /"t":"parked"/m,
  "an output is asked for": /"t":"values"/m,
  "a workflow is granted with a journal that its agent has": /"kept":\{"p":\d/m,
  "an agent lacks a journal that it was taken to have": /"t":"lacks"/m,
  "a call has many refs": /"manyRefs":\{"blob"/m,
  "a value travels as a blob": /"blob":"/m,
  "a task is retried": /"e":"retried"/m,
  "a run restarts": /"state":"restarted"/m,
  "a run is cancelled": /"state":"cancelled"/m,
  "a program cannot be started": /Cannot start a process/m,
  "an outbox cannot be written": /Cannot write the outbox/m,
};

it("C28 meets what it is there for: each kind of fault, and each way out of it", async () => {
  const missing = new Set([
    ...Object.keys(events),
    ...meddlings.filter((what) => what !== "failOver" && what !== "cutOff"),
  ]);
  for (let seed = 1; seed <= 100 && missing.size > 0; seed += 1) {
    const { cluster } = await simulate({ seed });
    const { lines } = cluster.trace;
    const text = lines.map(({ node, what, detail }) => `${node} ${what} ${detail}`).join("\n");
    for (const name of missing) {
      const pattern = events[name];
      const isMet = pattern ? pattern.test(text) : lines.some(({ node, what }) => node === "world" && what === name);
      if (isMet) missing.delete(name);
    }
  }
  expect([...missing]).toEqual([]);
}, 120_000);
