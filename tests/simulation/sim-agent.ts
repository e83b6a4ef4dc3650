import { type Agent, startAgent } from "#agent/main.ts";
import type { Logger } from "#agent/options.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import type { Life } from "./life.ts";
import type { SimMachine } from "./sim-machine.ts";
import type { Trace } from "./trace.ts";

interface AgentDeps {
  readonly machine: SimMachine;
  readonly trace: Trace;
  readonly seed: () => number;
  readonly slots: number;
  readonly workflowSlots: number;
  readonly onBroken: (what: string) => void;
}

/** The real agent, on a simulated machine. It has one life after another. */
export class SimAgent {
  readonly machine: SimMachine;
  life: Life | null = null;
  agent: Agent | null = null;
  /** It will never come back. */
  gone = false;
  readonly #deps: AgentDeps;

  constructor(deps: AgentDeps) {
    this.#deps = deps;
    this.machine = deps.machine;
  }

  get isUp(): boolean {
    return this.life?.alive === true;
  }

  start(): void {
    const { machine, trace } = this.#deps;
    const name = machine.nextLifeName();
    const life = machine.newLife(name);
    this.life = life;
    this.agent = null;
    trace.note(name, "starts");
    const started = startAgent({
      url: "sim://coordinator",
      token: "secret",
      name: machine.name,
      slots: this.#deps.slots,
      workflowSlots: this.#deps.workflowSlots,
      dataFolder: `/${machine.name}`,
      drainMs: 5_000,
      logger: this.#logger(name),
      clock: life.clock,
      random: new SeededRandom(this.#deps.seed()),
      machine: machine.for(life),
    });
    started.then(
      (agent) => {
        this.agent = agent;
        agent.closed.then(
          () => life.end(),
          (error) => this.#deps.onBroken(`${name} was refused: ${error}`),
        );
      },
      (error) => {
        trace.note(name, "cannot start", String(error));
        life.end();
      },
    );
  }

  /** kill -9 of the agent alone: its programs go on. */
  kill(): void {
    this.life?.end();
  }

  /** The machine goes down with everything on it. */
  crash(): void {
    this.life?.end();
    this.machine.crash();
  }

  drain(): void {
    const { life, agent } = this;
    if (agent && life) life.enter(() => void agent.drain());
  }

  #logger(name: string): Logger {
    const say = (level: string) => (fields: object, message: string) => {
      const { error } = fields as { error?: unknown };
      this.#deps.trace.note(name, level, `${message} ${error === undefined ? JSON.stringify(fields) : String(error)}`);
    };
    return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
  }
}
