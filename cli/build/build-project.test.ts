import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SaltError } from "#shared/domain/errors.ts";
import { initProject } from "../init-project.ts";
import { temporaryFolder, testCache } from "../testing/fake-cli.ts";
import { type Built, buildProject } from "./build-project.ts";
import { digestFile } from "./digest-file.ts";
import { bundleProject } from "./typescript/bundle.ts";
import { findPinnedNode } from "./typescript/find-base.ts";
import { buildSea, padProgram } from "./typescript/make-executable.ts";

const execute = promisify(execFile);
const deps = { env: { SALT_CACHE: testCache }, say: () => undefined, nowMs: Date.now };

let folder = "";
let remove = async () => {};
let project = "";
let built: Built;

beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
  project = path.join(folder, "my-flow");
  await initProject({ env: {}, folder: project, template: "hello" });
  built = await buildProject(deps, { folder: project });
});
afterAll(() => remove());

describe("salt build", { timeout: 60_000 }, () => {
  it("makes an executable that runs where there is no Node, and tells what is in it", async () => {
    const file = built.binaries[0]?.file ?? "";
    const { stdout } = await execute("/usr/bin/env", ["-i", "PATH=/nonexistent", file, "describe"], { cwd: "/" });
    const description = JSON.parse(stdout);
    expect(description.workflows.map((workflow: { name: string }) => workflow.name)).toEqual(["hello"]);
    expect(built.manifest.description).toEqual(description);
    expect(built.manifest.project).toBe("my-flow");
    expect(JSON.parse(await readFile(built.manifestFile, "utf8"))).toEqual(built.manifest);
  });

  it("gives the same bytes for the same sources, wherever they are", async () => {
    const elsewhere = path.join(folder, "some", "where else");
    await initProject({ env: {}, folder: elsewhere, template: "hello", name: "my-flow" });
    const again = await buildProject(deps, { folder: elsewhere });
    expect(again.binaries[0]).toMatchObject({ reused: false, sha256: built.binaries[0]?.sha256 });
    expect(await digestFile(again.binaries[0]?.file ?? "")).toBe(built.binaries[0]?.sha256);
    expect(again.manifest).toEqual(built.manifest);
  });

  it("makes, byte for byte, what node --build-sea makes of the padded program", async () => {
    const own = await mkdtemp(path.join(folder, "sea-"));
    await writeFile(path.join(own, "main.mjs"), padProgram(await bundleProject(built.project)));
    await buildSea(own, (await findPinnedNode()).file);
    expect(await digestFile(path.join(own, "main"))).toBe(built.binaries[0]?.sha256);
  });

  it("makes nothing again when nothing has changed, and does when the file was touched", async () => {
    const again = await buildProject(deps, { folder: project });
    expect(again.binaries[0]).toMatchObject({ reused: true, sha256: built.binaries[0]?.sha256 });
    await writeFile(again.binaries[0]?.file ?? "", "not a program");
    const restored = await buildProject(deps, { folder: project });
    expect(restored.binaries[0]).toMatchObject({ reused: false, sha256: built.binaries[0]?.sha256 });
  });

  it("is done whole by each of two at once, and neither leaves anything else, nor what one that was killed left", async () => {
    const file = built.binaries[0]?.file ?? "";
    await writeFile(file, "not a program");
    const left = path.join(path.dirname(file), ".partial-1-1-main");
    await writeFile(left, "half of one");
    await utimes(left, 0, 0);
    const both = await Promise.all([1, 2].map(() => buildProject(deps, { folder: project })));
    for (const { binaries } of both) expect(binaries[0]).toMatchObject({ sha256: built.binaries[0]?.sha256 });
    expect(await digestFile(file)).toBe(built.binaries[0]?.sha256);
    expect(await readdir(path.dirname(file))).toEqual([path.basename(file)]);
  });

  it("puts no path of this machine into the program", async () => {
    const bundle = await bundleProject(built.project);
    const map = Buffer.from(bundle.split("base64,").at(-1) ?? "", "base64").toString();
    for (const text of [bundle, map]) {
      expect(text.includes(folder)).toBe(false);
      expect(text.includes(path.resolve("."))).toBe(false);
    }
  });
});

/** A project with these files on top of the smallest one. */
async function projectWith(files: Readonly<Record<string, string>>): Promise<string> {
  const own = await mkdtemp(path.join(folder, "p-"));
  await initProject({ env: {}, folder: path.join(own, "p"), template: "hello" });
  for (const [file, text] of Object.entries(files)) {
    const target = path.join(own, "p", file);
    await mkdir(path.dirname(target), { recursive: true });
    await writeFile(target, text);
  }
  return path.join(own, "p");
}

async function failureOf(own: string): Promise<SaltError> {
  const error = await buildProject(deps, { folder: own, form: "script" }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(SaltError);
  return error as SaltError;
}

const main = (text: string) =>
  `import { workflow } from "@salt/sdk";\n${text}\nexport const w = workflow({ name: "w" }, async () => 1);\n`;

describe("salt build tells what is wrong, where, and what to do:", () => {
  it("a type error", async () => {
    const error = await failureOf(
      await projectWith({ "src/main.ts": main("const n: number = 'x';\nconsole.log(n);") }),
    );
    expect(error.code).toBe("BuildFailed");
    expect(error.message).toContain("src/main.ts:2:7: TS2322: Type 'string' is not assignable to type 'number'.");
    expect(error.message).toContain("2 | const n: number = 'x';\n            ^");
  });

  it("a syntax error", async () => {
    const error = await failureOf(await projectWith({ "src/main.ts": main("const = 1;") }));
    expect(error.message).toContain("src/main.ts:2:");
  });

  it("an entry that is missing, or outside of the project", async () => {
    const missing = await failureOf(await projectWith({ "salt.yaml": "name: p\nentry: src/mian.ts\n" }));
    expect(missing.message).toContain("salt.yaml:2:8: the entry src/mian.ts does not exist");
    expect(missing.next).toContain("name the right file as 'entry' in salt.yaml");
    const outside = await failureOf(await projectWith({ "salt.yaml": "name: p\nentry: ../../x.ts\n" }));
    expect(outside.message).toContain("outside the project's folder");
    expect(outside.next).not.toContain("../../x.ts");
    const isFolder = await failureOf(await projectWith({ "salt.yaml": "name: p\nentry: src\n" }));
    expect(isFolder.message).toContain("salt.yaml:2:8: the entry src is not a file");
  });

  it("an import of what is not there", async () => {
    const file = await failureOf(await projectWith({ "src/main.ts": main('import "./halper.ts";') }));
    expect(file.message).toContain('src/main.ts:2:8: Could not resolve "./halper.ts"');
    expect(file.next).toContain("write ./halper.ts, or correct the import");
    const installed = await failureOf(await projectWith({ "src/main.ts": main('import "left-pad/x";') }));
    expect(installed.message).toContain('src/main.ts:2:8: Could not resolve "left-pad/x"');
    expect(installed.next).toContain("npm install left-pad");
  });

  it("a native addon, at the project's own import that leads to it", async () => {
    const direct = await failureOf(
      await projectWith({ "src/main.ts": main('// @ts-ignore\nimport "./addon.node";'), "src/addon.node": "" }),
    );
    expect(direct.message).toMatch(/src\/main\.ts:3:8: .*native addon/);
    expect(direct.next).toContain("plain JavaScript or WebAssembly");
    const package_ = { name: "fastdb", version: "1.0.0", main: "index.js" };
    const through = await failureOf(
      await projectWith({
        "src/main.ts": main('// @ts-ignore\nimport "fastdb";'),
        "node_modules/fastdb/package.json": JSON.stringify(package_),
        "node_modules/fastdb/index.js": 'module.exports = require("bindings")("fastdb");\n',
      }),
    );
    expect(through.message).toContain("src/main.ts imports 'fastdb', which brings 'bindings': a native addon");
  });

  it("a salt.yaml that is absent, not text, or not right", async () => {
    const own = await projectWith({});
    await writeFile(path.join(own, "salt.yaml"), "name: p\nentri: x\n");
    const wrong = await failureOf(own);
    expect(wrong.code).toBe("InvalidProject");
    expect(wrong.message).toContain("salt.yaml:2:1: unknown key 'entri'. Did you mean 'entry'?");
    await writeFile(path.join(own, "salt.yaml"), Buffer.from([0xff, 0xfe, 0x00]));
    expect((await failureOf(own)).message).toContain("it is not UTF-8 text");
    await rm(path.join(own, "salt.yaml"));
    const absent = await failureOf(own);
    expect(absent.message).toContain("there is no salt.yaml");
    expect(absent.next).toContain("salt init");
  });

  it("a trigger for a workflow that is not there, an occasion that is none, a zone that is none", async () => {
    const triggers = [
      "  - { name: a, kind: webhook, workflow: helo }",
      "  - { name: b, kind: cron, workflow: hello, cron: '0 99 * * *' }",
      "  - { name: c, kind: cron, workflow: hello, cron: '0 9 * * *', timezone: Europe/Atlantis }",
      "  - { name: c, kind: webhook, workflow: hello }",
    ];
    const error = await failureOf(await projectWith({ "salt.yaml": `name: p\ntriggers:\n${triggers.join("\n")}\n` }));
    expect(error.message).toContain("salt.yaml:3:41: no workflow 'helo'. Did you mean 'hello'?");
    expect(error.message).toContain("salt.yaml:4:51: '0 99 * * *' is no cron expression");
    expect(error.message).toContain("salt.yaml:5:74: 'Europe/Atlantis' is no time zone");
    expect(error.message).toContain("salt.yaml:6:13: a trigger named 'c' is declared above");
  });

  it("a program that fails, or ends, at import", async () => {
    const thrown = await failureOf(
      await projectWith({ "src/main.ts": main("if (process.argv[2]) throw new Error('no database');") }),
    );
    expect(thrown.message).toContain("no database");
    expect(thrown.message).toContain("src/main.ts:2");
    expect(thrown.message).not.toContain("node:");
    const named = await failureOf(
      await projectWith({ "src/main.ts": main('workflow({ name: "no way" }, async () => 1);') }),
    );
    expect(named.message).toContain('src/main.ts:2:1: Cannot declare workflow "no way": the name is not valid.');
    expect(named.next).toMatch(/^Begin with a letter/);
    const endless = await failureOf(await projectWith({ "src/main.ts": main("await new Promise(() => {});") }));
    expect(endless.message).toContain("it ended before it was imported as a whole");
    const nothing = await failureOf(await projectWith({ "src/main.ts": "console.error('only this');\n" }));
    expect(nothing.message).toContain("src/main.ts declares no workflow and no task type");
    const left = await failureOf(
      await projectWith({ "src/main.ts": main('console.log("hello");\nif (process.argv[2]) process.exit(0);') }),
    );
    expect(left.message).toContain("it ended before it was imported as a whole, and had printed:\n  hello");
  });
});

describe("salt build that fails", () => {
  const filesOf = async (own: string, folder: string) => {
    const names = (await readdir(path.join(own, folder), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => path.join(entry.parentPath, entry.name));
    return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await digestFile(name)])));
  };
  const broken = {
    "at import": { "src/main.ts": main('if (process.argv[2]) throw new Error("no database");') },
    "for want of a workflow": { "src/main.ts": "export {};\n" },
    "at a trigger": { "salt.yaml": "name: p\ntriggers:\n  - { name: a, kind: webhook, workflow: nowhere }\n" },
  };

  it.each(["executable", "script"] as const)(
    "leaves what the last one made, as %s, as it was",
    async (form) => {
      const out = form === "script" ? path.join(".salt", "dev") : "dist";
      for (const [how, files] of Object.entries(broken)) {
        const own = await projectWith({});
        await buildProject(deps, { folder: own, form });
        const before = await filesOf(own, out);
        expect(Object.keys(before)).toHaveLength(2);
        for (const [file, text] of Object.entries(files)) await writeFile(path.join(own, file), text);
        await expect(buildProject(deps, { folder: own, form }), how).rejects.toThrow(SaltError);
        expect(await filesOf(own, out), how).toEqual(before);
      }
    },
    60_000,
  );
});

describe("salt build understands", () => {
  it("a project that prints while it is imported: that is told, and is not taken for the manifest", async () => {
    const prints =
      'console.log("hello");\nprocess.stdout.write(\'{"workflows": \');\nsetTimeout(() => console.log("late"), 20);';
    const own = await projectWith({ "src/main.ts": main(prints) });
    const request = { folder: own, form: "script" } as const;
    const { manifest, printed } = await buildProject(deps, request);
    expect(manifest.description.workflows.map(({ name }) => name)).toEqual(["w"]);
    expect(printed).toBe('  hello\n  {"workflows": late');
  });

  it("a CommonJS package that uses require, __dirname and module, beside names of the project's own", async () => {
    const own = await projectWith({
      "src/main.ts": main(
        'import { createRequire } from "node:module";\n// @ts-ignore\nimport old from "old";\nconst require = createRequire(import.meta.url);\nconst __dirname = "mine";\nif (require("node:fs").existsSync !== old.existsSync || __dirname !== "mine" || !old.folder) throw new Error("mixed up");',
      ),
      "node_modules/old/package.json": JSON.stringify({ name: "old", version: "1.0.0", main: "index.js" }),
      "node_modules/old/index.js":
        'const fs = require("fs");\nmodule.exports = { existsSync: fs.existsSync, folder: __dirname };\n',
    });
    const result = await buildProject(deps, { folder: own, form: "script" });
    expect(result.manifest.description.workflows).toHaveLength(1);
  });

  it("a zod of the project's own, and a project without a tsconfig.json", async () => {
    const own = await projectWith({
      "src/main.ts": main('// @ts-ignore\nimport { mark } from "zod";\nconsole.error(mark);'),
      "node_modules/zod/package.json": JSON.stringify({
        name: "zod",
        version: "9.0.0",
        type: "module",
        main: "index.js",
      }),
      "node_modules/zod/index.js": 'export const mark = "the project\'s own";\n',
    });
    await rm(path.join(own, "tsconfig.json"));
    const { project: read } = await buildProject(deps, { folder: own, form: "script" });
    expect((await bundleProject(read)).includes("// node_modules/zod/index.js")).toBe(true);
  });

  it("every template", async () => {
    for (const template of ["approval", "etl"]) {
      const own = path.join(await mkdtemp(path.join(folder, "t-")), template);
      await initProject({ env: {}, folder: own, template });
      const result = await buildProject(deps, { folder: own, form: "script" });
      expect(result.manifest.description.workflows).toHaveLength(1);
    }
  });
});
