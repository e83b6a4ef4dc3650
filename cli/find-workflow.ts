import { SaltError } from "#shared/domain/errors.ts";
import { readProject } from "./build/read-project.ts";
import type { Cli } from "./cli.ts";
import type { Client } from "./client.ts";
import { didYouMean } from "./nearest.ts";

export interface WorkflowName {
  readonly project: string;
  readonly workflow: string;
}

/** `project/workflow`, or a workflow's name alone: of this folder's project, or of the one project that has it. */
export async function findWorkflow(cli: Cli, client: Client, name: string): Promise<WorkflowName> {
  const [first = "", second] = name.split("/");
  if (second !== undefined) return { project: first, workflow: second };
  const { rows } = await client.call("listWorkflows", { query: { limit: 500 } });
  const own = await readProject(cli.cwd).catch(() => null);
  const found = rows.filter((row) => row.name === name);
  const chosen = found.find((row) => row.project === own?.name) ?? (found.length === 1 ? found[0] : undefined);
  if (chosen) return { project: chosen.project, workflow: chosen.name };
  if (found.length > 1) {
    throw new SaltError("BadRequest", `Several projects have a workflow '${name}'.`, {
      next: `name one: ${found.map((row) => `${row.project}/${row.name}`).join(", ")}`,
    });
  }
  throw new SaltError(
    "UnknownWorkflow",
    `No registered project has a workflow '${name}'.${didYouMean(
      name,
      rows.map((row) => row.name),
    )}`,
    {
      next: "salt workflows list; salt register-workflow registers this folder's",
    },
  );
}
