import type { WebSocket } from "ws";
import type { TaskId } from "#shared/domain/ids.ts";
import type { CoordinatorFrame, Lease, Result } from "#shared/protocol/agent.ts";
import type { Entry } from "#shared/protocol/common.ts";
import { entryMark } from "#shared/protocol/entry-mark.ts";
import { FakeAgent } from "./fake-agent.ts";
import { RandomProgram } from "./random-program.ts";
import type { SeededRandom } from "./seeded-random.ts";

interface Held {
  readonly lease: Lease;
  readonly program: RandomProgram | null;
  /** When a task ends, or a workflow that waits is to be parked. */
  dueMs: number;
  over: boolean;
  lacking: boolean;
}

interface Unaccepted {
  readonly of: TaskId;
  readonly make: (seq: number) => object;
  seq: number;
  sentAtMs: number;
}

export interface RandomAgentDeps {
  readonly random: SeededRandom;
  readonly nowMs: () => number;
  /** A coordinator to dial, or null while there is none. */
  readonly dial: () => ((socket: WebSocket) => void) | null;
  readonly leaseTtlMs: number;
  /** Whether agents still fail. */
  readonly isWild: () => boolean;
}

const taskMsMax = 1_500;
const parkAfterMs = 300;
const resendAfterMs = 2_000;
const welcomeWithinMs = 20_000;

/** An agent as the protocol has it, whose programs answer, fail, hang and hand back by chance, and which itself is cut off and dies. */
export class RandomAgent {
  readonly #deps: RandomAgentDeps;
  readonly #id: string;
  readonly #held = new Map<TaskId, Held>();
  /** What the programs that it parked had been given. */
  readonly #journals = new Map<TaskId, readonly Entry[]>();
  #unaccepted: Unaccepted[] = [];
  #link: FakeAgent | null = null;
  #seen = 0;
  #dialAtMs = 0;
  #renewAtMs = 0;
  #dialledAtMs = 0;
  #welcomed = false;
  /** What the coordinator did that its protocol forbids. */
  readonly violations: string[] = [];

  constructor(id: string, deps: RandomAgentDeps) {
    this.#id = id;
    this.#deps = deps;
  }

  tick(): void {
    const { random } = this.#deps;
    if (this.#link?.closedWith) this.#link = null;
    if (this.#deps.isWild() && random.chance(0.002)) this.#cut();
    if (this.#deps.isWild() && random.chance(0.001)) {
      this.#cut();
      this.#held.clear();
      this.#unaccepted = [];
    }
    if (!this.#link) this.#dial();
    if (!this.#link) return;
    for (; this.#seen < (this.#link?.received.length ?? 0); this.#seen += 1) {
      const frame = this.#link?.received[this.#seen];
      if (frame) this.#receive(frame);
    }
    if (!this.#welcomed) {
      if (this.#deps.nowMs() - this.#dialledAtMs > welcomeWithinMs) this.#cut();
      return;
    }
    for (const held of [...this.#held.values()]) this.#goOn(held);
    this.#sendAgain();
    this.#renew();
  }

  #cut(): void {
    this.#link?.cut();
    this.#link = null;
    this.#dialAtMs = this.#deps.nowMs() + this.#deps.random.between(0, 6_000);
  }

  #dial(): void {
    const accept = this.#deps.nowMs() < this.#dialAtMs ? null : this.#deps.dial();
    if (!accept) return;
    const link = new FakeAgent(this.#id);
    this.#link = link;
    this.#seen = 0;
    this.#welcomed = false;
    this.#dialledAtMs = this.#deps.nowMs();
    accept(link.socket);
    const leases = [...this.#held.values()].map(({ lease, program }) => ({
      task: lease.task,
      fence: lease.fence,
      ...(program ? { given: program.given } : {}),
    }));
    link.hello({ leases, keepsJournals: true });
  }

  #receive(frame: CoordinatorFrame): void {
    switch (frame.t) {
      case "welcome":
        this.#welcomed = true;
        for (const lease of frame.leases) if (lease.verdict === "stale") this.#forget(lease);
        this.#link?.credit(3, 4);
        for (const unaccepted of this.#unaccepted) unaccepted.sentAtMs = 0;
        return;
      case "leases":
        for (const lease of frame.leases) this.#grant(lease);
        return;
      case "settled":
        this.#deliver(frame);
        return;
      case "parked": {
        const program = this.#heldOf(frame)?.program;
        if (program) this.#journals.set(frame.task, program.entries);
        this.#forget(frame);
        return;
      }
      case "stop":
        this.#stop(frame);
        return;
      case "stale":
        for (const lease of frame.leases) this.#forget(lease);
        return;
      case "accepted":
        this.#unaccepted = this.#unaccepted.filter(
          ({ seq }) => !frame.ranges.some(([from, to]) => seq >= from && seq <= to),
        );
    }
  }

  #heldOf({ task, fence }: { task: TaskId; fence: number }): Held | null {
    const held = this.#held.get(task);
    return held?.lease.fence === fence ? held : null;
  }

  #forget(lease: { task: TaskId; fence: number }): void {
    if (this.#heldOf(lease)) this.#held.delete(lease.task);
  }

  #grant(lease: Lease): void {
    const { random, nowMs } = this.#deps;
    if (random.chance(this.#deps.isWild() ? 0.03 : 0)) return;
    const program = lease.kind === "workflow" ? new RandomProgram(lease) : null;
    const dueMs = nowMs() + random.between(0, program ? parkAfterMs : taskMsMax);
    const held = { lease, program, dueMs, over: false, lacking: false };
    this.#held.set(lease.task, held);
    if (program) this.#recall(held, program);
    const t = random.chance(0.5) ? "started" : "leased";
    this.#link?.send({ t, leases: [{ task: lease.task, fence: lease.fence }] });
  }

  #recall(held: Held, program: RandomProgram): void {
    const { task, fence, kept } = held.lease;
    if (!kept) return;
    const entries = this.#journals.get(task) ?? [];
    const last = entries.at(-1);
    if (last?.p === kept.p && entryMark(last) === kept.mark && this.#deps.random.chance(0.7)) {
      for (const entry of entries) program.take(entry);
      return;
    }
    held.lacking = true;
    this.#link?.send({ t: "lacks", task, fence });
  }

  #deliver(frame: Extract<CoordinatorFrame, { t: "settled" }>): void {
    const held = this.#heldOf(frame);
    if (!held?.program || (held.lacking && frame.entries[0]?.p !== 1)) return;
    held.lacking = false;
    for (const entry of frame.entries) {
      if (entry.p !== held.program.given + 1) {
        this.violations.push(`${frame.task}: entry ${entry.p} after ${held.program.given}`);
      }
      held.program.take(entry);
    }
    held.dueMs = this.#deps.nowMs() + parkAfterMs;
  }

  #stop(lease: { task: TaskId; fence: number; reason: string }): void {
    const held = this.#heldOf(lease);
    if (!held || held.over) return;
    const failure = { type: "CancelledError", message: lease.reason, retryable: false };
    this.#report(held, { kind: "cancelled", failure });
  }

  #goOn(held: Held): void {
    if (held.over) return;
    if (held.program) this.#goOnWithWorkflow(held, held.program);
    else if (this.#deps.nowMs() >= held.dueMs) this.#endTask(held);
  }

  #goOnWithWorkflow(held: Held, program: RandomProgram): void {
    const { random, nowMs } = this.#deps;
    const { task, fence } = held.lease;
    if (this.#deps.isWild() && random.chance(0.001)) {
      const failure = { type: "ProgramExited", message: "exit 1", retryable: true };
      this.#report(held, { kind: "fail", failure });
      return;
    }
    const step = program.next();
    if (step.kind === "call") {
      const { given } = program;
      this.#keep(task, (seq) => ({ t: "calls", seq, task, fence, given, calls: step.calls }));
    } else if (step.kind === "end") this.#report(held, step.result);
    else if (nowMs() >= held.dueMs && !this.#unaccepted.some(({ of }) => of === task)) {
      held.dueMs = nowMs() + parkAfterMs;
      this.#link?.send({ t: "park", task, fence, given: program.given, awaiting: step.awaiting });
    }
  }

  #endTask(held: Held): void {
    const { random } = this.#deps;
    const draw = this.#deps.isWild() ? random.float() : 0;
    const failure = (type: string, retryable: boolean) => ({ type, message: type, retryable });
    if (draw < 0.7) this.#report(held, { kind: "done", output: { json: `"${held.lease.attempt}"` } });
    else if (draw < 0.8) this.#report(held, { kind: "fail", failure: failure("Boom", true) });
    else if (draw < 0.85) this.#report(held, { kind: "fail", failure: failure("Boom", false) });
    else if (draw < 0.9) this.#report(held, { kind: "lost", failure: failure("AgentLost", true) });
    else if (draw < 0.95) {
      this.#held.delete(held.lease.task);
      this.#link?.send({ t: "handback", leases: [{ task: held.lease.task, fence: held.lease.fence }] });
    } else held.dueMs += random.between(0, 20_000);
  }

  #report(held: Held, result: Result): void {
    const { task, fence } = held.lease;
    held.over = true;
    this.#held.delete(task);
    const given = held.program ? { given: held.program.given } : {};
    this.#keep(task, (seq) => ({ t: "report", seq, reports: [{ task, fence, result, ranMs: 1, ...given }] }));
  }

  #keep(of: TaskId, make: (seq: number) => object): void {
    this.#unaccepted.push({ of, make, seq: 0, sentAtMs: 0 });
  }

  #sendAgain(): void {
    const nowMs = this.#deps.nowMs();
    for (const unaccepted of this.#unaccepted) {
      if (nowMs - unaccepted.sentAtMs < resendAfterMs) continue;
      unaccepted.seq = this.#link?.seq() ?? 0;
      unaccepted.sentAtMs = nowMs;
      this.#link?.send(unaccepted.make(unaccepted.seq));
    }
  }

  #renew(): void {
    if (this.#deps.nowMs() < this.#renewAtMs || this.#held.size === 0) return;
    this.#renewAtMs = this.#deps.nowMs() + this.#deps.leaseTtlMs / 3;
    const leases = [...this.#held.values()].map(({ lease }) => ({ task: lease.task, fence: lease.fence }));
    this.#link?.send({ t: "renew", leases });
  }
}
