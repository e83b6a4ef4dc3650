import type { SaltError } from "#shared/domain/errors.ts";
import type { AgentId } from "#shared/domain/ids.ts";
import type { Connection } from "./connection/connection.ts";
import type { Leases } from "./leases/leases.ts";
import type { Agent, AgentDeps, AgentState } from "./options.ts";
import type { AttemptJournal } from "./outbox/attempt-journal.ts";
import type { Reporter } from "./outbox/reporter.ts";
import type { DataFolder } from "./ports.ts";
import type { ForkServers } from "./runner/fork-servers.ts";
import type { Runner } from "./runner/runner.ts";

export interface AgentParts {
  readonly folder: DataFolder;
  readonly connection: Connection;
  readonly leases: Leases;
  readonly runner: Runner;
  readonly forks: ForkServers;
  readonly reporter: Reporter;
  readonly journal: AttemptJournal;
  /** Keeps the process from ending. */
  readonly alive: { release(): void };
}

const lookMs = 20;

/** A running agent: how it ends, in order or at once. */
export class AgentLife implements Agent {
  readonly closed: Promise<void>;
  readonly #deps: AgentDeps & { drainMs: number };
  readonly #parts: AgentParts;
  readonly #closed = Promise.withResolvers<void>();
  #state: "living" | "draining" | "closed" = "living";
  #ending: Promise<void> | null = null;

  constructor(deps: AgentDeps & { drainMs: number }, parts: AgentParts) {
    this.#deps = deps;
    this.#parts = parts;
    this.closed = this.#closed.promise;
    // Whoever cares reads `closed`; nobody has to.
    this.closed.catch(() => {});
  }

  get id(): AgentId {
    return this.#parts.folder.id;
  }

  get state(): AgentState {
    if (this.#state !== "living") return this.#state;
    return this.#parts.connection.connected ? "connected" : "dialling";
  }

  async drain(): Promise<void> {
    const { leases, runner, connection } = this.#parts;
    if (this.#state === "living") {
      this.#state = "draining";
      this.#deps.logger.info({ agent: this.id, leases: leases.count }, "Draining");
      leases.drain();
    }
    const untilMs = this.#deps.clock.monotonicMs() + this.#deps.drainMs;
    const isDone = () => leases.count === 0 && connection.unacceptedCount === 0;
    while (!isDone() && this.#state === "draining" && this.#deps.clock.monotonicMs() < untilMs) {
      await new Promise<void>((resolve) => this.#deps.clock.after(lookMs, resolve));
    }
    if (this.#state === "draining") {
      runner.handbackWorkflows();
      connection.control({ t: "bye" });
    }
    await this.end();
  }

  close(): Promise<void> {
    return this.end();
  }

  /** With an error when the agent has to end. */
  end(error?: SaltError): Promise<void> {
    this.#ending ??= this.#end(error);
    return this.#ending;
  }

  async #end(error: SaltError | undefined): Promise<void> {
    this.#state = "closed";
    const { connection, leases, runner, forks, reporter, journal, folder, alive } = this.#parts;
    connection.close("the agent ends");
    leases.close();
    forks.close();
    await runner.close();
    await reporter.settle();
    journal.close();
    folder.close();
    alive.release();
    if (error === undefined) this.#closed.resolve();
    else this.#closed.reject(error);
  }
}
