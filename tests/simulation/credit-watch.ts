import type { TaskId } from "#shared/domain/ids.ts";
import type { AgentFrame, AttemptName, CoordinatorFrame } from "#shared/protocol/agent.ts";

type Kind = "task" | "workflow";

const kindOf = (task: string): Kind => (task.endsWith("/@workflow") ? "workflow" : "task");
const isOfInterest = /"t":"(hello|credit|handback|report|welcome|leases|parked|stale)"/;

/** C14: what one connection's agent has said that it may hold, and what it holds. */
export class CreditWatch {
  /** Fences, by task. */
  readonly #held = new Map<string, number>();
  readonly #credit = { task: 0, workflow: 0 };
  /** Whether the engine still has the lease: of one that has run out the agent may know nothing yet. */
  readonly #isLive: (lease: AttemptName) => boolean;

  constructor(isLive: (lease: AttemptName) => boolean) {
    this.#isLive = isLive;
  }

  /** The agent sends a message. */
  said(text: string): void {
    if (!isOfInterest.test(text)) return;
    for (const frame of JSON.parse(text) as AgentFrame[]) {
      if (frame.t === "hello") this.#take(frame.leases);
      else if (frame.t === "handback") this.#letGo(frame.leases);
      else if (frame.t === "report") this.#letGo(frame.reports);
      else if (frame.t === "credit") {
        this.#credit.task = Math.max(this.#credit.task, frame.tasks);
        this.#credit.workflow = Math.max(this.#credit.workflow, frame.workflows);
      }
    }
  }

  /** The agent hears a message; answers what is wrong with it. */
  heard(text: string): string[] {
    if (!isOfInterest.test(text)) return [];
    const wrong: string[] = [];
    for (const frame of JSON.parse(text) as CoordinatorFrame[]) {
      if (frame.t === "stale") this.#letGo(frame.leases);
      else if (frame.t === "parked") this.#letGo([frame]);
      else if (frame.t === "welcome") this.#letGo(frame.leases.filter(({ verdict }) => verdict === "stale"));
      else if (frame.t === "leases") {
        this.#take(frame.leases);
        // Credit may have shrunk below what is held already: no more is granted then.
        for (const kind of new Set(frame.leases.map(({ kind }) => kind))) {
          const held = this.#countLive(kind);
          const asked = this.#credit[kind];
          if (held > asked) wrong.push(`holds ${held} leases of ${kind}s, and asked for ${asked}`);
        }
      }
    }
    return wrong;
  }

  #take(leases: readonly AttemptName[]): void {
    for (const { task, fence } of leases) this.#held.set(task, fence);
  }

  #letGo(leases: readonly AttemptName[]): void {
    for (const { task } of leases) this.#held.delete(task);
  }

  #countLive(kind: Kind): number {
    let count = 0;
    for (const [task, fence] of this.#held) {
      if (kindOf(task) === kind && this.#isLive({ task: task as TaskId, fence })) count += 1;
    }
    return count;
  }
}
