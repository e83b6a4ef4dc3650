import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { systemCli } from "#cli/cli.ts";
import { SaltCommand } from "#cli/command.ts";
import { commandTable } from "#cli/command-table.ts";
import { exitCodes } from "#cli/exit-codes.ts";
import * as sdk from "#sdk/index.ts";
import { errorCodes, failureTypes } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { agentFrameSchema, coordinatorFrameSchema, resultSchema } from "#shared/protocol/agent.ts";
import { roleSchema } from "#shared/protocol/api.ts";
import { projectKeys, triggerKeys } from "#shared/protocol/project.ts";
import { type Route, routes } from "#shared/protocol/routes.ts";
import { agentToProgramFrameSchema, programFrameSchema } from "#shared/protocol/task.ts";
import { docBlocks } from "./support/doc-blocks.ts";
import { privateEnv, runSalt, saltFolder } from "./support/salt-process.ts";
import { listFiles, readSource } from "./support/sources.ts";

const page = (name: string): string => readSource(name)?.text ?? "";

/** The rows of the table below a heading, cells trimmed, without the head. */
function tableBelow(text: string, heading: string): string[][] {
  const lines = text.split("\n");
  const begin = lines.findIndex((line, at) => at > lines.indexOf(heading) && line.startsWith("|"));
  const rows: string[][] = [];
  for (let at = begin + 2; lines[at]?.startsWith("|"); at++) {
    rows.push(
      (lines[at] ?? "")
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

const code = (cell: string | undefined): string => /^`([^`]+)`/.exec(cell ?? "")?.[1] ?? "";

describe("pages say what the code says", () => {
  test("workflows.md lists every limit with its value", () => {
    const rows = tableBelow(page("docs/workflows.md"), "## Limits");
    const told = Object.fromEntries(rows.map(([name, value]) => [code(name), value]));
    expect(told).toEqual(
      Object.fromEntries(Object.entries(limits).map(([name, value]) => [name, inWords(name, value)])),
    );
  });

  test("cli.md lists every command and subcommand, and no other", async () => {
    const root = new SaltCommand("salt");
    for (const entry of commandTable) (await entry.load())(root, systemCli(), []);
    const said = [...page("docs/cli.md").matchAll(/^\| `(salt [^`]+)` \|/gm)].map(([, line = ""]) => wordsOf(line));
    const beside = ["salt context use", "salt context list", "salt context remove"];
    expect([...said, ...beside].sort()).toEqual(root.commands.flatMap((command) => namesOf(command)).sort());
  });

  test("cli.md lists the exit codes, and what salt.yaml may hold", () => {
    const told = tableBelow(page("docs/cli.md"), "## Exit codes").map(([value]) => Number(value));
    expect(told).toEqual(Object.values(exitCodes));
    const yaml = docBlocks(page("docs/cli.md")).find(({ info }) => info[0] === "yaml")?.text ?? "";
    const keys = [...yaml.matchAll(/^\s*(?:- )?(\w+):/gm)].map(([, key]) => key);
    expect(new Set(keys)).toEqual(new Set([...projectKeys, ...triggerKeys]));
  });

  test("http-api.md lists every route with its role", () => {
    const rows = tableBelow(page("docs/http-api.md"), "## Routes").map(([route, role]) => `${code(route)} ${role}`);
    const known = Object.values(routes as Record<string, Route>).map(
      ({ method, path: at, role, agents }) =>
        `${method.toUpperCase()} ${at} ${role ?? "none"}${agents ? ", agent" : ""}`,
    );
    expect(rows).toEqual([...known, "GET /v1/agent agent, admin"]);
    for (const role of roleSchema.options) expect(page("docs/http-api.md")).toContain(`\`${role}\``);
  });

  test("agent-protocol.md names every frame, in its direction, and every result", () => {
    const text = page("docs/agent-protocol.md");
    const told = (heading: string) => tableBelow(text, heading).map(([frame]) => code(frame));
    expect(told("## From the agent")).toEqual(agentFrameSchema.options.map(({ shape }) => shape.t.value));
    expect(told("## From the coordinator")).toEqual(coordinatorFrameSchema.options.map(({ shape }) => shape.t.value));
    for (const { shape } of resultSchema.options) expect(text).toContain(`\`${shape.kind.value}\``);
  });

  test("task-protocol.md names every frame, in its direction", () => {
    const told = (heading: string) =>
      tableBelow(page("docs/task-protocol.md"), heading)
        .map(([frame]) => code(frame))
        .sort();
    expect(told("## From the program")).toEqual(programFrameSchema.options.map(({ shape }) => shape.t.value).sort());
    expect(told("## From the agent")).toEqual(
      agentToProgramFrameSchema.options.map(({ shape }) => shape.t.value).sort(),
    );
  });

  test("errors.md lists every code and every failure that Salt names", () => {
    const text = page("docs/errors.md");
    const codes = tableBelow(text, "## Operating errors").map(([name, status]) => [code(name), Number(status)]);
    expect(Object.fromEntries(codes)).toEqual(errorCodes);
    expect(
      tableBelow(text, "## Failures")
        .map(([type]) => code(type))
        .sort(),
    ).toEqual([...failureTypes].sort());
  });

  test("workflows.md names everything that a project can import, and the pages import nothing else", () => {
    const text = page("docs/workflows.md");
    const told = Object.keys(sdk).filter((name) => !new RegExp(`\\b${name}\\b`).test(text));
    expect(told.filter((name) => !["SaltError", "FileValue"].includes(name))).toEqual([]);
    for (const name of ["README.md", "docs/workflows.md", "docs/getting-started.md"]) {
      const imported = [...page(name).matchAll(/import \{([^}]+)\} from "@salt\/sdk"/g)].flatMap(([, names = ""]) =>
        names.split(",").map((one) => one.trim()),
      );
      expect(imported.filter((one) => !(one in sdk))).toEqual([]);
    }
  });
});

describe("pages lead somewhere", () => {
  const files = listFiles();
  const pages = files.filter((file) => file.endsWith(".md") && !file.startsWith("cli/templates/"));

  test("every link within the repository leads to a file, and to a heading where it names one", () => {
    const broken = pages.flatMap((file) =>
      [...page(file).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([whole, to = "", anchor]) => {
        const target = to === "" ? file : path.posix.normalize(path.posix.join(path.posix.dirname(file), to));
        if (!existsSync(path.join(saltFolder, target))) return [`${file}: ${whole}`];
        if (anchor !== undefined && !headings(page(target)).includes(anchor)) return [`${file}: ${whole}`];
        return [];
      }),
    );
    expect(broken).toEqual([]);
  });

  test("every source that architecture.md and CONTRIBUTING.md name is there", () => {
    const named = ["docs/architecture.md", "CONTRIBUTING.md", "docs/workflows.md", "docs/task-protocol.md"].flatMap(
      (file) => [...page(file).matchAll(/`((?:[\w.-]+\/)*[\w.-]+\.(?:ts|mjs))`/g)].map(([, name = ""]) => name),
    );
    expect(named.filter((name) => !files.some((file) => file === name || file.endsWith(`/${name}`)))).toEqual([]);
  });

  test("a decision record has about ten lines, and the numbers have no gap", () => {
    const records = files.filter((file) => file.startsWith("docs/decisions/"));
    expect(records.map((file) => Number(path.basename(file).slice(0, 4)))).toEqual(
      records.map((_, index) => index + 1),
    );
    for (const file of records) expect(page(file).trim().split("\n").length, file).toBeLessThanOrEqual(16);
  });
});

test("the README's workflow builds as it stands, and runs", { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "salt-readme-"));
  try {
    const options = { cwd: folder, env: privateEnv(folder) };
    expect(await runSalt(["init", "pages"], options)).toMatchObject({ code: 0 });
    const source = docBlocks(page("README.md")).find(({ info }) => info[0] === "ts")?.text ?? "";
    expect(source.split("\n").filter((line) => line !== "").length).toBeLessThanOrEqual(16);
    await writeFile(path.join(folder, "pages", "src", "main.ts"), source);
    const built = await runSalt(["build", "pages"], options);
    expect(built.stderr).toContain("Built 'pages'");
    const program = path.join(folder, "pages", "dist", `${process.platform}-${process.arch}`, "main");
    const { execFileSync } = await import("node:child_process");
    const args = ["run", "pages", "--input", "[]", "--signal", "publish", "--quiet"];
    expect(execFileSync(program, args, { encoding: "utf8", env: {} })).toBe('""\n');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

const units = [
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
] as const;

function inWords(name: string, value: number): string {
  if (/Bytes(Max)?$|Bytes/.test(name)) {
    const [unit, size] = units.find(([, bytes]) => value % bytes === 0) ?? (["bytes", 1] as const);
    return `${value / size} ${unit}`;
  }
  const days = value / (24 * 3_600_000);
  if (name.endsWith("Ms") && days > 1 && Number.isInteger(days)) return `${days} days`;
  if (name.endsWith("Ms")) return value % 3_600_000 === 0 ? `${value / 3_600_000} h` : `${value / 1_000} s`;
  return value.toLocaleString("en");
}

/** `salt runs get <run>` → `salt runs get`. */
const wordsOf = (line: string): string =>
  line
    .split(" ")
    .filter((word) => !/^[<[]/.test(word))
    .join(" ");

function namesOf(command: Command): string[] {
  const subcommands = command.commands.filter((sub) => sub.name() !== "help");
  if (subcommands.length === 0) return [`salt ${command.name()}`];
  return subcommands.map((sub) => `salt ${command.name()} ${sub.name()}`);
}

const headings = (text: string): string[] =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, "")
      .trim()
      .replaceAll(" ", "-"),
  );
