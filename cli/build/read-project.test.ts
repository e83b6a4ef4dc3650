import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import fc from "fast-check";
import { expect, it } from "vitest";
import { temporaryFolder } from "../testing/fake-cli.ts";
import { parseProject, readProject } from "./read-project.ts";

function problemsOf(source: string): string[] {
  const parsed = parseProject(source);
  if (parsed.kind === "valid") return [];
  return parsed.problems.map(({ line, column, text }) => `${line}:${column} ${text}`);
}

it("reads a whole salt.yaml, with defaults for what is left out", () => {
  const parsed = parseProject("name: shop\ntriggers:\n  - { name: n, kind: cron, cron: '0 3 * * *', workflow: w }\n");
  expect(parsed).toEqual({
    kind: "valid",
    file: {
      name: "shop",
      triggers: [{ name: "n", kind: "cron", cron: "0 3 * * *", timezone: "UTC", workflow: "w" }],
    },
  });
});

it("takes a folder with a pyproject.toml for a Python project, whose entry is the first that is there", async () => {
  const { folder, remove } = await temporaryFolder();
  const languageAndEntry = async () => {
    const { language, entry } = await readProject(folder);
    return [language, entry];
  };
  await writeFile(path.join(folder, "salt.yaml"), "name: My-shop\n");
  expect(await languageAndEntry()).toEqual(["typescript", "src/main.ts"]);
  await writeFile(path.join(folder, "pyproject.toml"), "");
  expect(await languageAndEntry()).toEqual(["python", "src/my_shop/main.py"]);
  await writeFile(path.join(folder, "main.py"), "");
  expect(await languageAndEntry()).toEqual(["python", "main.py"]);
  await mkdir(path.join(folder, "my_shop"));
  await writeFile(path.join(folder, "my_shop", "main.py"), "");
  expect(await languageAndEntry()).toEqual(["python", "my_shop/main.py"]);
  await writeFile(path.join(folder, "salt.yaml"), "name: My-shop\nlanguage: typescript\n");
  expect(await languageAndEntry()).toEqual(["typescript", "src/main.ts"]);
  await remove();
});

it("names an unknown key with its line, its column and the nearest known one", () => {
  expect(problemsOf("name: shop\nentyr: src/x.ts\n")[0]).toMatch(/^2:1 unknown key 'entyr'\. Did you mean 'entry'\?/);
  const trigger = "name: shop\ntriggers:\n  - name: n\n    kind: webhook\n    workflow: w\n    tiemzone: UTC\n";
  expect(problemsOf(trigger)[0]).toMatch(/^6:5 unknown key 'tiemzone'\. Did you mean 'timezone'\?/);
});

it("says what is missing or wrong at the place where it stands", () => {
  expect(problemsOf("language: typescript\n")).toEqual(["1:1 name: is missing."]);
  expect(problemsOf("name: shop\nlanguage: typescrit\n")).toEqual([
    "2:11 language: 'typescrit' is none of typescript, python. Did you mean 'typescript'?",
  ]);
  expect(problemsOf("name: shop\nplatforms: [linux-x46]\n")[0]).toMatch(/^2:13 .*Did you mean 'linux-x64'\?/);
  expect(problemsOf("name: shop\ntriggers:\n  - { name: n, kind: corn, workflow: w }\n")[0]).toMatch(
    /^3:22 triggers\.0\.kind: 'corn' is none of cron, webhook\. Did you mean 'cron'\?/,
  );
  expect(problemsOf("name: 7up\n")[0]).toMatch(/^1:7 name: must begin with a letter/);
  expect(problemsOf("name: shop\nplatforms: linux-arm64\n")).toEqual([
    "2:12 platforms: must be a list, as in [linux-arm64].",
  ]);
  expect(problemsOf("")).toEqual(["1:1 the file: is empty."]);
  expect(problemsOf("- a\n- b\n")).toHaveLength(1);
});

it("shows the line of a syntax error", () => {
  const parsed = parseProject("name: shop\nentry: [src\n");
  expect(parsed.kind === "invalid" && parsed.problems[0]).toMatchObject({ file: "salt.yaml", line: 3 });
});

it("A54 survives duplicate keys, deep nesting, huge numbers, alias bombs and stray bytes with a named problem", () => {
  expect(problemsOf("name: a\nname: b\n")[0]).toMatch(/^2:1 .*unique/i);
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefgh"
    .split("")
    .map((letter, n) => `${letter}: &${letter} [${Array(9).fill(`*${"abcdefgh"[n]}`).join(",")}]`)
    .join("\n")}\nname: x\n`;
  for (const hostile of [
    `${"[".repeat(5_000)}`,
    `name: ${"9".repeat(10_000)}`,
    bomb,
    "name: \ud800",
    "\u0000",
    "? - x\n: y",
  ]) {
    expect(problemsOf(hostile).length).toBeGreaterThan(0);
  }
});

it("A54 gives a project or problems, and throws nothing, whatever the text", () => {
  const words = fc.constantFrom(
    "name",
    ":",
    " ",
    "\n",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a",
    "*a",
    "'",
    '"',
    "triggers",
    "  ",
    "|",
    "?",
    "#",
    "!!",
    "\t",
  );
  fc.assert(
    fc.property(fc.array(words), (parts) => void parseProject(parts.join(""))),
    { numRuns: 300 },
  );
});

it("A60 takes __proto__ and constructor for unknown keys, and changes no prototype", () => {
  const before = Object.getOwnPropertyNames(Object.prototype).sort();
  expect(problemsOf("name: a\n__proto__: { polluted: 1 }\n")[0]).toMatch(/unknown key '__proto__'/);
  expect(problemsOf("name: a\nconstructor: { prototype: { polluted: 1 } }\n")[0]).toMatch(/unknown key 'constructor'/);
  expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(before);
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
});
