import { expect, test } from "vitest";
import type { Clock } from "#shared/ports.ts";
import { systemClock } from "#shared/system.ts";
import { fakeProgram } from "../fakes/fake-program.ts";
import { openStand } from "../fakes/stand.ts";
import { systemDisk } from "../system-disk.ts";
import { systemMachine } from "../system-machine.ts";

const program = fakeProgram();

test("A32 a process that cannot be started is tried again after a moment, not in a loop, while others of its release work", async () => {
  let isFull = false;
  let tried = 0;
  const disk = {
    ...systemDisk,
    async writeDurably(file: string, text: string) {
      if (isFull && file.endsWith("record.json")) {
        tried += 1;
        throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
      }
      await systemDisk.writeDurably(file, text);
    },
  };
  // Timers may come early.
  const after: Clock["after"] = (delayMs, callback) => systemClock.after(0.9 * delayMs, callback);
  const stand = await openStand({ slots: 2, clock: { ...systemClock, after }, machine: { ...systemMachine, disk } });
  const { coordinator } = stand;
  try {
    const first = coordinator.lease(program, "never");
    coordinator.send({ t: "leases", leases: [first] });
    await coordinator.until("the first to be at work", () => coordinator.said("started").length > 0);
    isFull = true;
    const second = coordinator.settle(coordinator.lease(program, "pid"));
    await coordinator.until("a try", () => tried > 0);
    const startedMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 300));
    // One a second, however slow this machine is.
    expect(tried).toBeLessThanOrEqual(2 + (performance.now() - startedMs) / 1_000);
    isFull = false;
    expect(await second).toMatchObject([{ result: { kind: "done" } }]);
  } finally {
    await stand.close();
  }
});
