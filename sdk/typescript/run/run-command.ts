import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { z } from "zod";
import type { Failure } from "#shared/domain/errors.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { parse as parseBy } from "../declare/parse.ts";
import type { Registry } from "../declare/registry.ts";
import { processHost } from "../program/process-host.ts";
import { textOf } from "../program/texts.ts";
import { type LocalOutcome, LocalRun, type LocalRunDeps, type LocalSignal } from "./local-run.ts";
import { createLocalTasks, type LocalTasksDeps } from "./local-tasks.ts";

/** Exit codes of `main run`, as those of the CLI. */
const exitCodes = { succeeded: 0, stuck: 1, usage: 2, notFound: 3, failed: 6 } as const;

const usage = `Usage: main run <workflow> [--input '<json>'] [--signal <name>[='<json>']]… [--quiet]`;

/**
 * Edge: `main run`. Executes a workflow and its tasks in this process, in real time: what they print and how they fare
 * goes to stderr, the output alone to stdout.
 */
export async function runCommand(registry: Registry, args: readonly string[]): Promise<number> {
  const request = readRequest(registry, args);
  if ("code" in request) {
    process.stderr.write(`${request.message}\n`);
    return request.code;
  }
  const folder = mkdtempSync(join(tmpdir(), "salt-run-"));
  const hold = new MessageChannel();
  hold.port1.onmessage = () => {};
  const print = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr) as typeof process.stdout.write;
  try {
    const deps = localDeps(registry, { folder, quiet: request.quiet });
    const outcome = await new LocalRun(deps, {
      name: request.workflow,
      input: request.input,
      signals: request.signals,
    }).run();
    if (outcome.kind === "succeeded") print(`${textOf(deps.host.texts, outcome.output)}\n`);
    else process.stderr.write(explain(request.workflow, outcome));
    return exitCodes[outcome.kind];
  } finally {
    process.stdout.write = print as typeof process.stdout.write;
    hold.port1.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Request {
  readonly workflow: string;
  readonly input: { readonly json: string };
  readonly signals: readonly LocalSignal[];
  readonly quiet: boolean;
}

function readRequest(registry: Registry, args: readonly string[]): Request | { code: number; message: string } {
  const wrong = (message: string) => ({ code: exitCodes.usage, message: `${message}\n${usage}` });
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return wrong((error as Error).message);
  }
  const [workflow, ...more] = parsed.positionals;
  if (workflow === undefined || more.length > 0) return wrong("Name one workflow.");
  const definition = registry.workflows.get(workflow);
  if (definition === undefined) {
    const names = [...registry.workflows.keys()].join(", ") || "none";
    return { code: exitCodes.notFound, message: `There is no workflow '${workflow}'. Declared: ${names}.` };
  }
  const { input = absentInput(definition.input), signal = [], quiet = false } = parsed.values;
  if (!isJson(input)) return wrong(`--input is not JSON: ${input.slice(0, 200)}`);
  const signals = signal.map((text) => {
    const [name = "", ...value] = text.split("=");
    return { name, value: { json: value.length > 0 ? value.join("=") : "null" } };
  });
  const bad = signals.find(({ name, value }) => name === "" || !isJson(value.json));
  if (bad !== undefined) return wrong(`--signal takes name='<json>', not ${bad.name}=${bad.value.json}`);
  return { workflow, input: { json: input }, signals, quiet };
}

/** As the API has it: null, or {} where the schema wants an object. */
function absentInput(schema: z.ZodType | undefined): string {
  const fits = (value: unknown): boolean => {
    const result = schema === undefined ? { ok: true } : parseBy(schema, value);
    return !(result instanceof Promise) && result.ok;
  };
  return fits(null) || fits(undefined) || !fits({}) ? "null" : "{}";
}

const parse = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      input: { type: "string" },
      signal: { type: "string", multiple: true },
      quiet: { type: "boolean" },
    },
  });

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function localDeps(registry: Registry, options: { folder: string; quiet: boolean }): LocalRunDeps {
  const { texts, hashFile, writeLine } = processHost();
  const files = new Map<string, string>();
  const deps: LocalTasksDeps = {
    clock: systemClock,
    random: systemRandom,
    registry,
    newFolder: () => mkdtempSync(join(options.folder, "work-")),
    say: (line) => {
      if (!options.quiet) process.stderr.write(`${line}\n`);
    },
    host: {
      texts,
      writeLine,
      send: () => {},
      emit: () => {},
      async hashFile(folder, path) {
        const hashed = await hashFile(folder, path);
        files.set(hashed.sha256, hashed.path);
        return hashed;
      },
      async fetchFile(_argsId, { sha256 }) {
        const path = files.get(sha256);
        if (path === undefined) throw new Error(`The file ${sha256} was not made in this run.`);
        return path;
      },
    },
  };
  return { ...deps, tasks: createLocalTasks(deps), activity: { count: 0 } };
}

function explain(workflow: string, outcome: Exclude<LocalOutcome, { kind: "succeeded" }>): string {
  if (outcome.kind === "failed") return `Run of '${workflow}' failed: ${failureText(outcome.failure)}\n`;
  const keys = outcome.awaiting.map((key) => `'${key}'`).join(", ");
  const signal = outcome.awaiting.find((key) => key.startsWith("signal:"));
  const name = signal?.slice("signal:".length).replace(/#\d+$/, "");
  const next = name === undefined ? "" : `→ Give it with --signal ${name}='<json>'\n`;
  return `Run of '${workflow}' waits for ${keys}, to which nothing will come in this process.\n${next}`;
}

function failureText(failure: Failure): string {
  const own = failure.stack?.includes(failure.message) ? failure.stack : `${failure.type}: ${failure.message}`;
  return failure.cause === undefined ? own : `${own}\n  caused by ${failureText(failure.cause)}`;
}
