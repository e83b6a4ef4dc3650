import type { AgentFrame, AttemptName, CoordinatorFrame } from "#shared/protocol/agent.ts";

type Kind = "task" | "workflow";

const kindOf = (task: string): Kind => (task.endsWith("/@workflow") ? "workflow" : "task");
const isOfInterest = /"t":"(hello|credit|handback|report|welcome|leases|parked|stale)"/;

/** C14: what one connection's agent has said that it may hold, and what it holds. */
export class CreditWatch {
  readonly #held = new Set<string>();
  readonly #credit = { task: 0, workflow: 0 };

  /** The agent sends a message. */
  said(text: string): void {
    if (!isOfInterest.test(text)) return;
    for (const frame of JSON.parse(text) as AgentFrame[]) {
      if (frame.t === "hello") for (const { task } of frame.leases) this.#held.add(task);
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
      else if (frame.t === "welcome") this.#letGo(frame.leases.filter(({ verdict }) => verdict === "stale"));
      else if (frame.t === "parked") this.#letGo([frame]);
      else if (frame.t === "leases") {
        for (const { task } of frame.leases) this.#held.add(task);
        for (const kind of ["task", "workflow"] as const) {
          const held = [...this.#held].filter((task) => kindOf(task) === kind).length;
          if (held > this.#credit[kind])
            wrong.push(`holds ${held} leases of ${kind}s, and asked for ${this.#credit[kind]}`);
        }
      }
    }
    return wrong;
  }

  #letGo(leases: readonly AttemptName[]): void {
    for (const { task } of leases) this.#held.delete(task);
  }
}
