import { readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { temporaryFolder } from "./testing/fake-cli.ts";
import { unpackFiles } from "./unpack-files.ts";

let folder = "";
let remove = async () => {};
beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
});
afterAll(() => remove());

describe("unpackFiles", () => {
  it("writes files into a folder that only their names and texts decide, once", async () => {
    const files = { "a/b/c.txt": "see", "empty.txt": "" };
    const parent = path.join(folder, "installed");
    const unpacked = unpackFiles(files, parent);
    expect(await readFile(path.join(unpacked, "a", "b", "c.txt"), "utf8")).toBe("see");
    expect(await readFile(path.join(unpacked, "empty.txt"), "utf8")).toBe("");
    const { ino } = await stat(path.join(unpacked, "empty.txt"));
    expect(unpackFiles(files, parent)).toBe(unpacked);
    expect((await stat(path.join(unpacked, "empty.txt"))).ino).toBe(ino);
    expect(unpackFiles({ ...files, "empty.txt": "no longer" }, parent)).not.toBe(unpacked);
    expect(await readdir(parent)).toHaveLength(2);
  });

  it("leaves nothing where it fails", async () => {
    const parent = path.join(folder, "failing");
    expect(() => unpackFiles({ a: "", "a/b": "" }, parent)).toThrow();
    expect(await readdir(parent)).toEqual([]);
  });
});
