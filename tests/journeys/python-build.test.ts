import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { docBlocks } from "../support/doc-blocks.ts";
import { until } from "../support/journeys.ts";
import { killsOf } from "../support/kills.ts";
import { findPython, requirePython } from "../support/python-project.ts";
import { saltFolder } from "../support/salt-process.ts";
import { type Salt, startSalt } from "../support/start-salt.ts";

const python = await findPython();
requirePython(python);

const main = `
import os
import sys
import time

import idna
import salt


@salt.task
def encode(name: str) -> str:
    return idna.encode(name).decode()


@salt.task(process="fresh", on_lease_lost="stop")
def where(n: int) -> list[str]:
    return [str(os.getpid()), sys.prefix, __name__]


@salt.task(process="fresh", retry=3)
def slow(path: str, seconds: float, ctx: salt.TaskContext) -> int:
    with open(path, "a") as notes:
        notes.write(f"{os.getpid()} {ctx.attempt}\\n")
    time.sleep(seconds)
    return ctx.attempt


@salt.workflow
async def wait(path: str, seconds: float) -> int:
    return await slow(path, seconds)


@salt.workflow
async def names(given: list[str]) -> list[str]:
    return [await ref for ref in [encode(name) for name in given]]


@salt.workflow
async def places(count: int) -> list[list[str]]:
    return [await where(n) for n in range(count)]


if __name__ == "__main__":
    salt.main()
`;

const files = {
  "salt.yaml": "name: names\n",
  "pyproject.toml":
    '[project]\nname = "names"\nversion = "1.0"\nrequires-python = ">=3.10"\ndependencies = ["idna<4"]\n',
  "requirements.txt":
    "idna==3.10 \\\n    --hash=sha256:946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3\n",
  "src/names/__init__.py": "",
  "src/names/main.py": main,
};

const page = readFileSync(path.join(saltFolder, "docs", "python.md"), "utf8");

/** The files and the commands of the section on building, and the example that they are about. */
function shownProject() {
  const blocks = docBlocks(page.slice(page.indexOf("\n## Building\n")));
  const named = blocks.filter(({ info }) => info.length > 1).map(({ info, text }) => [info[1] ?? "", text] as const);
  const example = docBlocks(page).find(({ info }) => info[0] === "python")?.text ?? "";
  const commands = blocks.find(({ info }) => info[0] === "sh")?.text.split("\n") ?? [];
  const files = { ...Object.fromEntries(named), "src/shop/__init__.py": "", "src/shop/main.py": example };
  return {
    files,
    commands: commands.map((line) => line.match(/'[^']*'|\S+/g)?.map((word) => word.replace(/^'|'$/g, "")) ?? []),
  };
}

async function writeProject(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), text);
  }
}

/** The pids of the fork servers of an instance's agents: what they fork has another parent than a launch wrapper. */
function forkServers(salt: Salt): number[] {
  const read = (pid: number | string, file: string) => readFileSync(`/proc/${pid}/${file}`, "utf8");
  return readdirSync("/proc")
    .filter((pid) => {
      try {
        const parent = /\) \S (\d+)/.exec(read(pid, "stat"))?.[1] ?? "";
        const isOurs = read(pid, "environ").includes(`HOME=${salt.folder}`);
        return isOurs && read(pid, "environ").includes("SALT_FORK_SOCKET=") && read(parent, "comm") === "sh\n";
      } catch {
        return false;
      }
    })
    .map(Number);
}

async function settledOutput(salt: Salt, run: string): Promise<unknown> {
  await salt.settled(run, undefined, 60_000);
  return await salt.output(run);
}

describe.skipIf(python === null)("a Python project that salt build makes a PEX of", { timeout: 180_000 }, () => {
  let salt: Salt;
  let project = "";
  beforeAll(async () => {
    salt = await startSalt();
    project = path.join(salt.folder, "names");
    await writeProject(project, files);
    await salt.saltOk(["build", project], { timeoutMs: 150_000 });
    await salt.saltOk(["register-workflow", project], { timeoutMs: 60_000 });
  }, 240_000);
  afterAll(() => salt?.close());

  test("The three commands of docs/python.md build, register and run its example", async () => {
    const { files: shown, commands } = shownProject();
    const cwd = path.join(salt.folder, "shown");
    await writeProject(cwd, shown);
    expect(commands.map(([, name]) => name)).toEqual(["build", "register-workflow", "run"]);
    const outputs: string[] = [];
    for (const [, ...args] of commands) outputs.push(await salt.saltOk(args, { cwd, timeoutMs: 150_000 }));
    expect(outputs.at(-1)).toContain("2.40");
  });

  test("executes on an agent that said which Pythons it has, from the tree that its cache keeps", async () => {
    const { id } = await salt.open("names/names", ["bücher.example", "salt.example"]);
    await salt.settled(id, undefined, 60_000);
    expect(await salt.output(id)).toEqual(["xn--bcher-kva.example", "salt.example"]);
    const [agent] = JSON.parse(await salt.saltOk(["agents", "list", "--json"])) as { pythons: string[] }[];
    expect(agent?.pythons.length).toBeGreaterThan(0);
    const names = readdirSync(salt.folder, { recursive: true }) as string[];
    // Of the example of the page, and of this project.
    expect(names.filter((name) => /binaries\/[0-9a-f]{64}\.tree\/3\.\d+\.\d+$/.test(name))).toHaveLength(2);
  });

  test("fresh tasks each have a process of their own, and the project's modules their own names", async () => {
    const { id } = await salt.open("names/places", 5);
    await salt.settled(id, undefined, 60_000);
    const output = (await salt.output(id)) as [string, string, string][];
    expect(new Set(output.map(([pid]) => pid)).size).toBe(5);
    expect(new Set(output.map(([, , name]) => name))).toEqual(new Set(["names.main"]));
    expect(forkServers(salt)).toHaveLength(1);
  });

  test("C18 a fork server that is killed takes no task with it, and another takes its place or none is needed", async () => {
    const file = path.join(salt.folder, "server-killed.txt");
    const { id } = await salt.open("names/wait", { path: file, seconds: 2 });
    await until("the task has begun", () => existsSync(file));
    for (const pid of forkServers(salt)) process.kill(pid, "SIGKILL");
    expect(await settledOutput(salt, id)).toBe(1);
    const next = await salt.open("names/places", 2);
    expect(await settledOutput(salt, next.id)).toHaveLength(2);
  });

  test("A forked program that is killed fails its attempt as any other does, and the next one succeeds", async () => {
    const file = path.join(salt.folder, "program-killed.txt");
    const { id } = await salt.open("names/wait", { path: file, seconds: 1 });
    await until("the task has begun", () => existsSync(file));
    process.kill(Number(readFileSync(file, "utf8").split(" ")[0]), "SIGKILL");
    expect(await settledOutput(salt, id)).toBe(2);
  });

  test("C18 an agent that is killed and started again finds what was forked, and its answer", async () => {
    const file = path.join(salt.folder, "agent-killed.txt");
    const { id } = await salt.open("names/wait", { path: file, seconds: 4 });
    await until("the task has begun", () => existsSync(file));
    await killsOf(salt, () => 0).agent();
    expect(await settledOutput(salt, id)).toBe(1);
    expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(1);
  });
});
