import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { salt, temporaryFolder } from "../testing/fake-cli.ts";

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
let cwd: string;
let count = 0;
beforeAll(async () => {
  temporary = await temporaryFolder();
});
afterAll(() => temporary?.remove());
beforeEach(async () => {
  cwd = path.join(temporary.folder, String(count++));
  await mkdir(path.join(cwd, "protos"), { recursive: true });
  await writeFile(path.join(cwd, "protos", "a.json"), '{"type": "string"}');
});

const generate = (...args: string[]) => salt(["generate-server-code", ...args], { cwd });
const files = async (folder: string) => (await readdir(path.join(cwd, folder), { recursive: true })).sort();

test("both languages have a folder each, one language has the output folder itself", async () => {
  expect(await generate("protos", "both")).toMatchObject({ code: 0, out: "" });
  expect(await files("both")).toEqual(["python", "python/__init__.py", "python/a.py", "typescript", "typescript/a.ts"]);
  const one = await generate("protos", "one", "--language", "typescript", "--json", "files");
  expect(JSON.parse(one.out)).toEqual({ files: ["a.ts"] });
  expect(await files("one")).toEqual(["a.ts"]);
});

test("the code is made anew over what it made before, without what is not there any more", async () => {
  await generate("protos", "out", "-l", "python");
  await mkdir(path.join(cwd, "out", "__pycache__"));
  await writeFile(path.join(cwd, "out", "__pycache__", "a.pyc"), "\0");
  await writeFile(path.join(cwd, "protos", "b.json"), "true");
  expect(await generate("protos", "out", "-l", "typescript")).toMatchObject({ code: 0 });
  expect(await files("out")).toEqual(["a.ts", "b.ts"]);
  expect(await files(".")).toEqual(["out", "out/a.ts", "out/b.ts", "protos", "protos/a.json", "protos/b.json"]);
});

test("a folder with a file that it did not make is left as it is", async () => {
  await generate("protos", "out");
  await writeFile(path.join(cwd, "out", "mine.ts"), "export const mine = 1;\n");
  const before = await files("out");
  const { code, err } = await generate("protos", "out", "--language", "python");
  expect({ code, err }).toMatchObject({ code: 1, err: expect.stringMatching(/mine\.ts: salt did not generate it/) });
  expect(await files("out")).toEqual(before);
  expect(await generate("protos", "protos/a.json/out")).toMatchObject({ code: 2 });
  await writeFile(path.join(cwd, "file"), "text");
  expect((await generate("protos", "file")).err).toContain("it is a file");
});

test("input and output may not lie in each other", async () => {
  for (const [from, to] of [
    ["protos", "protos"],
    ["protos", "protos/out"],
    ["protos", "."],
  ] as const) {
    expect(await generate(from, to)).toMatchObject({ code: 2, err: expect.stringContaining("beside the input") });
  }
});

test("what cannot be read is an error that names it, and nothing is written", async () => {
  expect(await generate("nowhere", "out")).toMatchObject({ code: 3, err: expect.stringContaining("nothing is there") });
  expect(await generate("protos/a.json", "out")).toMatchObject({
    code: 3,
    err: expect.stringContaining("it is a file"),
  });
  await mkdir(path.join(cwd, "empty"));
  expect((await generate("empty", "out")).err).toContain("it has no .json file");
  await writeFile(path.join(cwd, "protos", "bad.json"), "{");
  expect(await generate("protos", "out")).toMatchObject({
    code: 2,
    err: expect.stringMatching(/bad\.json: it is no JSON/),
  });
  await writeFile(path.join(cwd, "protos", "bad.json"), " ".repeat(5 * 1024 * 1024));
  expect((await generate("protos", "out")).err).toContain("at most 4194304 are allowed");
  await writeFile(path.join(cwd, "protos", "bad.json"), '{"$ref": "c.json"}');
  expect((await generate("protos", "out")).err).toMatch(/bad\.json#\/\$ref: 'c\.json' leads to no schema/);
  expect(await files(".")).not.toContain("out");
});

test("an unknown language is told with the known ones", async () => {
  const { code, err } = await generate("protos", "out", "--language", "pyton");
  expect(code).toBe(2);
  expect(err).toContain("Did you mean 'python'?");
});

test("a place that cannot be written leaves nothing behind", async () => {
  await writeFile(path.join(cwd, "file"), "text");
  expect(await generate("protos", "file/out")).toMatchObject({
    code: 1,
    err: expect.stringContaining("Nothing was changed"),
  });
  expect(await files(".")).toEqual(["file", "protos", "protos/a.json"]);
});

test("an output folder that is a link is written where it leads", async () => {
  await mkdir(path.join(cwd, "real"));
  await symlink("real", path.join(cwd, "link"));
  expect(await generate("protos", "link", "-l", "typescript")).toMatchObject({ code: 0 });
  expect(await readFile(path.join(cwd, "real", "a.ts"), "utf8")).toContain("export type A = string;");
});
