import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, cp, mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { languages } from "#cli/generate/languages.ts";
import { serverCode } from "#cli/generate/server-code.ts";
import { writeTree } from "#cli/generate/write-tree.ts";
import { docBlocks, hasLines } from "./support/doc-blocks.ts";
import { type ExampleName, registerExample } from "./support/example.ts";
import { findPython, makeZipapp, registerProgram } from "./support/python-project.ts";
import { checkPython, checkTypescript, findPythonTools } from "./support/python-tools.ts";
import { randomSchemas } from "./support/random-schemas.ts";
import { saltFolder } from "./support/salt-process.ts";
import { type Salt, startSalt } from "./support/start-salt.ts";

const execute = promisify(execFile);
const tools = findPythonTools();
const python = await findPython();
const examples: readonly ExampleName[] = ["fan-out", "converge", "approval", "orders"];

let salt: Salt;
/** Where the page's reader is. */
let folder: string;
let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  salt = await startSalt();
  folder = path.join(salt.folder, "page");
  const bin = path.join(salt.folder, "bin");
  await Promise.all([mkdir(folder), mkdir(bin)]);
  const command = path.join(bin, "salt");
  await writeFile(command, `#!/bin/sh\nexec "${process.execPath}" "${path.join(saltFolder, "cli", "bin.mjs")}" "$@"\n`);
  await chmod(command, 0o755);
  env = { ...salt.env, PATH: `${bin}:${salt.env.PATH ?? ""}` };
}, 60_000);
afterAll(() => salt?.close());

/** Strict, as a project of a reader might be, with what the SDK is found by. */
const tsconfig = {
  compilerOptions: {
    ...{ target: "es2024", lib: ["es2024"], module: "nodenext", strict: true, noEmit: true, skipLibCheck: true },
    ...{ verbatimModuleSyntax: true, exactOptionalPropertyTypes: true, allowImportingTsExtensions: true },
    ...{
      noUncheckedIndexedAccess: true,
      types: ["node"],
      typeRoots: [path.join(saltFolder, "node_modules", "@types")],
    },
    paths: { "@salt/sdk": [path.join(saltFolder, "sdk", "typescript", "index.ts")] },
  },
  include: ["**/*.ts"],
};
async function writeTsconfig(place: string, options: object = {}): Promise<void> {
  const compilerOptions = { ...tsconfig.compilerOptions, ...options };
  await writeFile(path.join(place, "tsconfig.json"), JSON.stringify({ ...tsconfig, compilerOptions }));
  await writeFile(path.join(place, "package.json"), '{ "type": "module" }');
}

/** Where mypy finds the Python SDK. */
const pythonPath = path.join(saltFolder, "sdk", "python", "src");

describe("docs/generated-code.md", () => {
  const page = readFileSync(path.join(saltFolder, "docs", "generated-code.md"), "utf8");

  test("every command does what the page says, and the call through generated functions comes back", async () => {
    let stdout = "";
    for (const { info, text, line } of docBlocks(page)) {
      const [language, kind = ""] = info;
      if (language === "sh") {
        const ran = await execute("bash", ["-ec", text], { cwd: folder, env }).catch((error) => {
          throw new Error(`line ${line}: ${text}\n${error.stdout}${error.stderr}`);
        });
        stdout = ran.stdout;
      } else if (kind === "output") {
        expect(hasLines(stdout, text), `line ${line}: ${text}\nis not in\n${stdout}`).toBe(true);
      } else {
        await mkdir(path.dirname(path.join(folder, kind)), { recursive: true });
        await writeFile(path.join(folder, kind), `${text}\n`);
      }
    }
    const runs = (await salt.client.call("listRuns", { query: { project: "fraud", limit: 10 } })).rows;
    expect(runs.map(({ status, parent }) => [status, parent !== null])).toEqual(Array(2).fill(["succeeded", true]));
  }, 120_000);

  test("there is no command on it that is not executed", () => {
    expect(docBlocks(page).filter(({ info }) => info[0] === "sh" && info[1] !== "run")).toEqual([]);
  });

  test.skipIf(python === null)("a Python workflow calls the same project through its functions", async () => {
    const workflow = [
      ...["import salt", "", "", "@salt.workflow", "def greet_all(names: list[str]) -> list[str]:"],
      '    return [ref.result() for ref in [hello({"name": name}) for name in names]]',
    ];
    const module = path.join(folder, "greetings.py");
    const calls = await readFile(path.join(folder, "fraud_calls.py"), "utf8");
    await writeFile(module, `${calls}\n\n${workflow.join("\n")}\n`);
    await registerProgram(salt, "greetings", await makeZipapp(python ?? "", module, path.join(folder, "zipapp")));
    const run = await salt.open("greetings/greet_all", ["Ada", "Grace"]);
    await salt.settled(run.id);
    expect(await salt.output(run.id)).toEqual(["HELLO, ADA!", "HELLO, GRACE!"]);
  });

  test.skipIf(python === null)(
    "what is generated of a Python project passes tsc, and takes and gives its types",
    async () => {
      const place = path.join(folder, "of-python");
      await mkdir(place);
      const module = path.join(saltFolder, "tests", "journeys", "python", "flows.py");
      await registerProgram(salt, "flows", await makeZipapp(python ?? "", module, path.join(place, "zipapp")));
      await salt.saltOk(["generate", "flows", "--language", "typescript", "--out", path.join(place, "flows.ts")]);
      const use = [
        'import type { Decimal, Ref } from "@salt/sdk";',
        'import { price } from "./flows.ts";',
        'const item = { name: "tea", price: "1.20", due: new Date(0) };',
        'export const ref: Ref<Decimal> = price({ path: "/x", item });',
      ];
      await writeFile(path.join(place, "use.ts"), use.join("\n"));
      await writeTsconfig(place);
      await checkTypescript(place);
    },
  );

  test("its TypeScript passes tsc", async () => {
    const place = path.join(folder, "messages", "typescript");
    await cp(place, path.join(folder, "checked"), { recursive: true });
    await writeTsconfig(path.join(folder, "checked"));
    await checkTypescript(path.join(folder, "checked"));
  });

  test.skipIf(tools === null)("its Python passes mypy --strict and ruff", { timeout: 60_000 }, async () => {
    const place = path.join(folder, "python");
    await cp(path.join(folder, "messages", "python"), path.join(place, "messages"), { recursive: true });
    for (const file of ["fraud_calls.py", "fraud_offline.py"])
      await cp(path.join(folder, file), path.join(place, file));
    await checkPython(tools ?? "", place, { MYPYPATH: pythonPath });
  });
});

describe("the examples", () => {
  let place: string;
  beforeAll(async () => {
    place = path.join(salt.folder, "stubs");
    await mkdir(place);
    await Promise.all(examples.map((name) => registerExample(salt, name)));
    for (const name of examples) {
      const file = name.replace("-", "_");
      await salt.saltOk(["generate", name, "--language", "typescript", "--out", `stubs/typescript/${file}.ts`]);
      await salt.saltOk(["generate", name, "--language", "python", "--out", `stubs/python/${file}.py`]);
    }
  }, 180_000);

  test("the functions that call them pass tsc, and refuse what their schemas refuse", async () => {
    const typescript = path.join(place, "typescript");
    await writeTsconfig(typescript);
    const use = (card: string) =>
      [
        'import { fulfilOrder, charge } from "./orders.ts";',
        'const paid = charge({ reference: "r", card: "4242", amount: 3 });',
        "const attempts: PromiseLike<number> = paid.then(({ attempts }) => attempts);",
        `export const uses = [attempts, fulfilOrder({ id: "o", card: ${card}, lines: [] }, { key: "mine" })];`,
      ].join("\n");
    await writeFile(path.join(typescript, "use.ts"), use('"4242"'));
    await checkTypescript(typescript);
    await writeFile(path.join(typescript, "use.ts"), use("4242"));
    await expect(checkTypescript(typescript)).rejects.toThrow(/use\.ts.*'number' is not assignable/);
  });

  test.skipIf(tools === null)("in Python they pass mypy --strict and ruff", { timeout: 60_000 }, async () => {
    const python = path.join(place, "python");
    const use = (amount: string) =>
      `from orders import charge\n\nref = charge({"reference": "r", "card": "c", "amount": ${amount}}, key="mine")\n`;
    await writeFile(path.join(python, "use.py"), use("3"));
    const search = { MYPYPATH: pythonPath };
    await checkPython(tools ?? "", python, search);
    await writeFile(path.join(python, "use.py"), use('"3"'));
    await expect(checkPython(tools ?? "", python, search)).rejects.toThrow(/use\.py:3: error: Argument 1 to "charge"/);
  });
});

describe("the protocols' own schemas", () => {
  /** Types of the sources, by what generated code has them as. */
  const same = {
    "agent/from_agent.AgentBatch": "agent.ts.agentBatchSchema",
    "agent/from_coordinator.CoordinatorBatch": "agent.ts.coordinatorBatchSchema",
    "task/from_program.ProgramFrame": "task.ts.programFrameSchema",
    "task/from_agent.AgentToProgramFrame": "task.ts.agentToProgramFrameSchema",
    "common/manifest.Manifest": "manifest.ts.manifestSchema",
    "api/messages.RunsPage": "api.ts.runsPageSchema",
    "api/messages.TasksPage": "api.ts.tasksPageSchema",
    "api/messages.OpenRun": "api.ts.openRunSchema",
    "api/messages.RegisterRelease": "api.ts.registerReleaseSchema",
  };

  /** What is parsed has the generated type, and what has that may be sent. */
  function sameness(): string {
    const checks = Object.entries(same).map(([generated, source], index) => {
      const [file, type] = generated.split(".");
      const [module, , schema] = source.split(".");
      const lines = [
        `import type { ${type} as Made${index} } from "./typescript/${file}.js";`,
        `import { ${schema} as source${index} } from ${JSON.stringify(path.join(saltFolder, "shared", "protocol", `${module}.ts`))};`,
        `export const parsed${index} = (value: z.output<typeof source${index}>): Made${index} => value;`,
        `export const sent${index} = (value: Made${index}): z.input<typeof source${index}> => value;`,
      ];
      // Zod takes what a getter defines, a failure's cause, to be there always.
      return (type?.endsWith("Page") ? lines.slice(0, 3) : lines).join("\n");
    });
    return `import type { z } from ${JSON.stringify(path.join(saltFolder, "node_modules", "zod", "index.js"))};\n${checks.join("\n")}\n`;
  }

  test("make code that passes tsc, with the types that the sources have", async () => {
    const place = path.join(salt.folder, "protocol");
    await salt.saltOk(["generate-server-code", path.join(saltFolder, "shared", "protocol", "schemas"), "protocol"]);
    await writeTsconfig(place);
    await checkTypescript(place);
    // Zod's partial objects may hold undefined, which JSON lacks.
    await writeTsconfig(place, { exactOptionalPropertyTypes: false });
    await writeFile(path.join(place, "same.ts"), sameness());
    await checkTypescript(place);
  });

  test.skipIf(tools === null)("and mypy --strict and ruff", { timeout: 60_000 }, async () => {
    await checkPython(tools ?? "", path.join(salt.folder, "protocol", "python"));
  });
});

describe("schemas drawn at random", () => {
  const seed = Number(process.env.SALT_SEED ?? 1);

  test.skipIf(tools === null)("make code that passes tsc, mypy --strict and ruff", { timeout: 60_000 }, async () => {
    console.info(`seed ${seed}`);
    const place = path.join(salt.folder, "random");
    const sources = randomSchemas(seed);
    for (const language of languages) await writeTree(path.join(place, language), serverCode(sources, language));
    await writeTsconfig(place);
    await checkTypescript(place);
    await checkPython(tools ?? "", path.join(place, "python"));
  });
});
