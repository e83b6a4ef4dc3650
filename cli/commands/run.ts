import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SaltError } from "#shared/domain/errors.ts";
import type { OpenRunRequest, RunView } from "#shared/protocol/api.ts";
import { type Cli, note } from "../cli.ts";
import type { Client } from "../client.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { findWorkflow } from "../find-workflow.ts";
import { printJson } from "../output.ts";
import { parsePriority } from "../parse-flags.ts";
import { readValue } from "../read-value.ts";
import { tellEnd } from "../watch/tell-end.ts";
import { watchRun } from "../watch/watch-run.ts";

export function addRun(root: SaltCommand, cli: Cli): void {
  root
    .command("run")
    .summary("start a run, watch it, print its output")
    .description("Starts a run and shows it as it goes. Its output goes to stdout; the exit code is the run's result.")
    .argument("<workflow>", "its name, or project/name")
    .option("-i, --input <json>", "the input: JSON, @file, or - for stdin")
    .option("-d, --detach", "print the run's id and leave")
    .option("--idempotency-key <key>", "the same key with the same request is the same run")
    .option("--priority <n>", "-100 to 100; higher goes first")
    .option("--timeout <duration>", "stop watching after this time, as 30s or 5m; the run goes on")
    .option("--no-logs", "do not show what tasks write")
    .withJson()
    .withCoordinator()
    .examples(
      ['salt run hello --input \'{"name":"Ada"}\'', "run, watch, print the output"],
      ["salt run billing/invoice --input @order.json --detach", "only start it"],
      ["cat order.json | salt run invoice --input - > invoice.json", "in a pipe"],
      ["salt run nightly --idempotency-key 2026-03-01", "at most once for that key"],
    )
    .run(cli, async ([name = ""], options) => {
      const client = await clientOf(cli, options);
      const input = options.input === undefined ? undefined : await readValue(cli, "--input", String(options.input));
      const timeoutMs = options.timeout === undefined ? null : parseDuration(String(options.timeout));
      const run = await openRun(client, {
        key: (options.idempotencyKey as string | undefined) ?? randomUUID(),
        body: {
          ...(await findWorkflow(cli, client, name)),
          ...(input === undefined ? {} : { input }),
          ...(options.priority === undefined ? {} : { priority: parsePriority(String(options.priority)) }),
        },
      });
      if (options.detach) {
        if (options.json) printJson(cli, run, options.json);
        else cli.stdout.write(`${run.id}\n`);
        note(cli, `→ salt runs watch ${run.id}`);
        return 0;
      }
      note(cli, `${run.project}/${run.workflow} is ${run.id}`);
      const end = await watchRun(cli, client, run, { logs: options.logs !== false, timeoutMs });
      return await tellEnd(cli, client, run, end, options.json);
    });
}

const openAttempts = 3;

/** Under its key the request may be sent again, whatever became of the answer to the last. */
async function openRun(client: Client, request: { key: string; body: OpenRunRequest }): Promise<RunView> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await client.call("openRun", { body: request.body, headers: { "idempotency-key": request.key } });
    } catch (error) {
      const again = error instanceof SaltError && error.retryable && !isRefused(error) && attempt < openAttempts;
      if (!again) throw error;
      await sleep(500 * attempt);
    }
  }
}

/** Nothing listens there: waiting will not help, and the reader wants to know now. */
const isRefused = (error: SaltError): boolean =>
  (error.cause as NodeJS.ErrnoException | undefined)?.code === "ECONNREFUSED";
