import type { Clock, Random } from "#shared/ports.ts";
import type { Registry } from "../declare/registry.ts";
import { Connection } from "./connection.ts";
import type { DialAgent } from "./dial-agent.ts";
import { type ProcessHost, Program } from "./program.ts";

export interface ServeDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly registry: Registry;
  readonly host: ProcessHost;
  readonly session: string;
  readonly pid: number;
  readonly argsId: string | null;
  readonly dial: DialAgent;
  readonly keepAlive: () => { release(): void };
  /** How long it does without an agent before it ends. */
  readonly lonelyMs: number;
}

/** Executes work for an agent until it is told to quit, or has been alone for too long. */
export function serveWork(deps: ServeDeps): { readonly program: Program; readonly connection: Connection } {
  const program = new Program({ ...deps, send: (frame) => connection.send(frame) });
  const connection: Connection = new Connection({
    ...deps,
    hello: () => program.hello(),
    receive: (frame) => program.receive(frame),
    giveUp: () => deps.host.exit(1),
  });
  return { program, connection };
}
