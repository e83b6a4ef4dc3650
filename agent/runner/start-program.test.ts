import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { expect, test } from "vitest";
import { fakeProgram } from "../fakes/fake-program.ts";
import { openStand } from "../fakes/stand.ts";
import type { Processes } from "../ports.ts";
import { systemMachine } from "../system-machine.ts";
import { identityFile } from "./start-program.ts";

test("C18 who a process is has been noted before anything can be heard of it: an agent that is killed then finds it again", async () => {
  const noted: boolean[] = [];
  const launch: Processes["launch"] = (options, exited) => {
    const child = systemMachine.processes.launch(options, exited);
    queueMicrotask(() => noted.push(existsSync(identityFile(dirname(options.exitFile)))));
    return child;
  };
  const processes = { ...systemMachine.processes, launch };
  const { coordinator, close } = await openStand({ machine: { ...systemMachine, processes } });
  try {
    await coordinator.settle(coordinator.lease(fakeProgram(), "noop"));
    expect(noted).toEqual([true]);
  } finally {
    await close();
  }
});
