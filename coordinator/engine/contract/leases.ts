import { expect, test } from "vitest";
import { type Check, leaseKey, leasesIndex, pausedCounter, type Write } from "../engine.ts";
import {
  claim,
  clock,
  engine,
  enqueue,
  lease,
  members,
  partition,
  rows,
  stampOf,
  tryWith,
  want,
  write,
} from "./subject.ts";

export function describeLeases(): void {
  const hold = (member: string, forMs: number, more: { state?: string; holder?: string } = {}): Write => ({
    kind: "hold",
    member,
    forMs,
    ...more,
  });
  const release = (member: string): Write => ({ kind: "release", member });

  test("C11 a check on a lease holds for its fence only, also after its release and a new grant", async () => {
    await write(enqueue("q", "m", 1));
    const first = (await claim(["q"], 1))[0]?.fence ?? 0;
    const leaseIs = (fence: number): Check => ({ kind: "stamp", key: leaseKey(partition, "m"), stamp: String(fence) });
    expect(await tryWith(leaseIs(first))).toBe("applied");
    expect(await tryWith(leaseIs(first + 1))).toBe("conflict");
    await write(release("m"));
    expect(await tryWith(leaseIs(first))).toBe("applied");
    await write(enqueue("q", "m", 1));
    const second = (await claim(["q"], 1))[0]?.fence ?? 0;
    expect(await tryWith(leaseIs(first))).toBe("conflict");
    expect(await tryWith(leaseIs(second))).toBe("applied");
  });

  test("C12 a grant holds for `holdMs`, and a hold from its own commit on; the fence stays", async () => {
    await write(enqueue("q", "m", 1));
    const { nowMs, claims } = await engine.commit(partition, [], want(["q"], 1));
    expect(await rows(leasesIndex(partition))).toEqual([{ member: "m", score: nowMs + 5_000, value: null }]);
    clock.pass(1_000);
    await write(hold("m", 30_000, { state: "leased" }));
    expect(await rows(leasesIndex(partition))).toEqual([{ member: "m", score: nowMs + 31_000, value: null }]);
    expect(await lease("m")).toEqual({ holder: "agt_1/1", state: "leased", queue: "q" });
    await write(hold("m", 10, { holder: "agt_1/2" }));
    expect(await lease("m")).toEqual({ holder: "agt_1/2", state: "leased", queue: "q" });
    expect(await stampOf(leaseKey(partition, "m"))).toBe(String(claims[0]?.fence));
  });

  test("C12 leases that have run out are the first rows of `leases`", async () => {
    await write(enqueue("q", "m1", 1), enqueue("q", "m2", 2));
    await claim(["q"], 2);
    await write(hold("m2", 30_000));
    clock.pass(5_000);
    const { nowMs } = await engine.get([]);
    expect(await members(leasesIndex(partition), { to: nowMs })).toEqual(["m1"]);
    expect(await members(leasesIndex(partition), { reverse: true, limit: 1 })).toEqual(["m2"]);
  });

  test("C13 the lease clock stands still by what is added to `paused`, also within a batch", async () => {
    await write(enqueue("q", "m1", 1));
    const { nowMs } = await engine.commit(partition, [], want(["q"], 1));
    clock.pass(40_000);
    await engine.commit(
      partition,
      [
        {
          checks: [],
          writes: [{ kind: "add", counter: pausedCounter(partition), delta: 40_000 }, enqueue("q", "m2", 1)],
        },
        { checks: [], writes: [hold("m1", 1_000)] },
      ],
      want(["q"], 1),
    );
    expect(await rows(leasesIndex(partition))).toEqual([
      { member: "m1", score: nowMs + 1_000, value: null },
      { member: "m2", score: nowMs + 5_000, value: null },
    ]);
  });

  test("a released lease has no holder, no deadline, and its fence", async () => {
    await write(enqueue("q", "m", 1));
    const [granted] = await claim(["q"], 1);
    await write(release("m"));
    expect(await lease("m")).toEqual({ holder: "", state: "granted", queue: "q" });
    expect(await stampOf(leaseKey(partition, "m"))).toBe(String(granted?.fence));
    expect(await rows(leasesIndex(partition))).toEqual([]);
  });

  test("holding or releasing what is not held does nothing", async () => {
    await write(hold("m", 1_000, { state: "leased" }), release("m"));
    expect(await lease("m")).toBeNull();
    await write(enqueue("q", "m", 1));
    await claim(["q"], 1);
    await write(release("m"));
    await write(hold("m", 1_000, { state: "leased", holder: "agt_2/1" }), release("m"));
    expect(await lease("m")).toEqual({ holder: "", state: "granted", queue: "q" });
    expect(await rows(leasesIndex(partition))).toEqual([]);
  });

  test("a member that is granted again while it is held changes its holder", async () => {
    await write(enqueue("q", "m", 1));
    await claim(["q"], 1);
    await write(enqueue("q2", "m", 1));
    const { nowMs } = await engine.commit(partition, [], want(["q2"], 1, "agt_2/1"));
    expect(await lease("m")).toEqual({ holder: "agt_2/1", state: "granted", queue: "q2" });
    expect(await rows(leasesIndex(partition))).toEqual([{ member: "m", score: nowMs + 5_000, value: null }]);
  });
}
