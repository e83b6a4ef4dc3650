import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { templates } from "./init-project.ts";
import { salt, temporaryFolder } from "./testing/fake-cli.ts";

let folder = "";
let remove = async () => {};
beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
});
afterAll(() => remove());

describe("salt init", () => {
  it("makes a project of each template, with its name in it, and says what to do next", async () => {
    for (const template of Object.keys(templates)) {
      const ran = await salt(["init", `my-${template}`, "-t", template], { cwd: folder });
      expect([ran.code, ran.out]).toEqual([0, ""]);
      expect(ran.err).toMatch(new RegExp(`→ cd my-${template}\n→ salt dev\n→ salt run `));
      const own = path.join(folder, `my-${template}`);
      const manifest = template === "python" ? "pyproject.toml" : "package.json";
      const language = template === "python" ? [] : ["node_modules", "tsconfig.json"];
      expect(await readdir(own)).toEqual([".gitignore", "README.md", manifest, "salt.yaml", "src", ...language].sort());
      expect(await readFile(path.join(own, "salt.yaml"), "utf8")).toContain(`\nname: my-${template}\n`);
      for (const file of ["README.md", manifest, "salt.yaml"]) {
        expect(await readFile(path.join(own, file), "utf8")).not.toContain("{{");
      }
    }
  });

  it("overwrites nothing, and then makes nothing", async () => {
    const own = path.join(folder, "taken");
    await mkdir(own);
    await writeFile(path.join(own, "README.md"), "mine");
    const ran = await salt(["init", "taken"], { cwd: folder });
    expect([ran.code, ran.err]).toEqual([1, expect.stringContaining("README.md is there already")]);
    expect(await readdir(own)).toEqual(["README.md"]);
    expect(await readFile(path.join(own, "README.md"), "utf8")).toBe("mine");
  });

  it("names the next folder as a shell reads it, and says when it may not look there", async () => {
    expect((await salt(["init", "my flow"], { cwd: folder })).err).toContain("→ cd 'my flow'\n");
    await writeFile(path.join(folder, "a-file"), "");
    const ran = await salt(["init", "a-file"], { cwd: folder });
    expect(ran.err).not.toContain("there already");
  });

  it("makes a name of the folder's that fits, and refuses one that cannot", async () => {
    const made = await salt(["init", "My Flow 2!", "--json", "name"], { cwd: folder });
    expect(made.out).toBe('{"name":"My-Flow-2"}\n');
    expect((await salt(["init", "123"], { cwd: folder })).err).toContain("must begin with a letter");
    const hiding = await salt(["init", "Salt", "-t", "python"], { cwd: folder });
    expect([hiding.code, hiding.err]).toEqual([2, expect.stringContaining("its module would hide Salt's")]);
    expect((await salt(["init", "x", "-t", "helo"], { cwd: folder })).err).toContain("Did you mean 'hello'?");
  });
});
