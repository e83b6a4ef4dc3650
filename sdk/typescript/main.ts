import { SaltError } from "#shared/domain/errors.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { currentAmbient } from "./ambient.ts";
import { declared } from "./declare/registry.ts";
import { dialAgentAt, keepProcessAlive } from "./program/dial-agent.ts";
import { processHost } from "./program/process-host.ts";
import { serveWork } from "./program/serve-work.ts";

const usage = `Usage:
  main describe                           print what this program declares, as JSON
  main run <workflow> [--input '<json>']  run a workflow in this process, without Salt
  main [--input <args-id>]                execute work for a Salt agent (needs SALT_SOCKET and SALT_SESSION)
`;

/**
 * The program that a project is built into. Called by the entry that `salt build` makes, after the project's own modules
 * have declared what they have. Sets the exit code: 0 ok, 1 failure, 2 usage, 6 the run failed.
 */
export async function main(argv: readonly string[] = process.argv): Promise<void> {
  const [command, ...rest] = argv.slice(2);
  try {
    if (command === "describe") await printDescription();
    else if (command === "run") await runHere(rest);
    else if (command === undefined || command === "--input") serve(command === undefined ? null : argsIdOf(rest));
    else endWith(2, `Unknown command '${command}'.\n${usage}`);
  } catch (error) {
    const text = error instanceof SaltError && error.next !== undefined ? `${error.message}\n→ ${error.next}` : error;
    endWith(1, `${text instanceof Error ? text.message : text}`);
  }
}

function endWith(code: number, message: string): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = code;
}

/** After the mark that it is asked to give, on a line of its own, the description is found among what else is printed. */
async function printDescription(): Promise<void> {
  const { describeProject } = await import("./declare/describe-project.ts");
  const mark = process.env.SALT_DESCRIBE_MARK ?? "";
  process.stdout.write(`${mark === "" ? "" : `\n${mark}`}${JSON.stringify(describeProject(declared))}\n`);
}

async function runHere(args: readonly string[]): Promise<void> {
  const { runCommand } = await import("./run/run-command.ts");
  process.exitCode = await runCommand(declared, args);
}

function argsIdOf([argsId, ...more]: readonly string[]): string {
  if (argsId !== undefined && more.length === 0) return argsId;
  throw new SaltError("BadRequest", "Cannot execute work: --input takes one args-id.");
}

const lonelyMs = 10 * 60_000;

function takeSetting(name: string): string {
  const value = process.env[name];
  delete process.env[name];
  if (value !== undefined && value !== "") return value;
  throw new SaltError("BadRequest", `Cannot wait for work: ${name} is not set.`, {
    next: "A Salt agent sets it. To run a workflow without Salt: main run <workflow> --input '<json>'",
  });
}

function serve(argsId: string | null): void {
  const path = takeSetting("SALT_SOCKET");
  const session = takeSetting("SALT_SESSION");
  const leaseTtlMs = Number(process.env.SALT_LEASE_TTL_MS ?? 0);
  const { program, connection } = serveWork({
    clock: systemClock,
    random: systemRandom,
    registry: declared,
    host: processHost(),
    session,
    pid: process.pid,
    argsId,
    dial: dialAgentAt(path),
    keepAlive: keepProcessAlive,
    lonelyMs: Math.max(lonelyMs, Number.isFinite(leaseTtlMs) ? leaseTtlMs : 0),
  });
  const crash = (error: unknown): void => {
    const ambient = currentAmbient();
    const id = ambient === undefined ? undefined : ambient.kind === "task" ? ambient.argsId : ambient.execution.argsId;
    program.crash(error, id);
    connection.flush();
  };
  process.on("uncaughtException", crash);
  process.on("unhandledRejection", crash);
}
