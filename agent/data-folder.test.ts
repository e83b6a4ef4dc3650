import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock, systemRandom } from "#shared/system.ts";
import { openDataFolder } from "./data-folder.ts";

const deps = { clock: systemClock, random: systemRandom };
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "salt-folder-test-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("The id is made once and kept, and the folder is private", async () => {
  const first = await openDataFolder(join(root, "agent"), deps);
  expect(statSync(first.path).mode & 0o777).toBe(0o700);
  expect(statSync(first.socketFolder).mode & 0o777).toBe(0o700);
  first.close();
  const second = await openDataFolder(join(root, "agent"), deps);
  second.close();
  expect(second.id).toBe(first.id);
});

test("The folder of sockets is found again while a program's is in it, and is gone once the last one is", async () => {
  const first = await openDataFolder(join(root, "agent"), deps);
  writeFileSync(join(first.socketFolder, "program"), "");
  first.close();
  const second = await openDataFolder(join(root, "agent"), deps);
  expect(second.socketFolder).toBe(first.socketFolder);
  rmSync(join(second.socketFolder, "program"));
  second.close();
  expect(existsSync(second.socketFolder)).toBe(false);
});

test("A38 a folder that others may write to, or a symbolic link, is refused", async () => {
  const open = join(root, "open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  await expect(openDataFolder(open, deps)).rejects.toMatchObject({ code: "NotAllowed" });
  const link = join(root, "link");
  mkdirSync(join(root, "real"), { mode: 0o700 });
  symlinkSync(join(root, "real"), link);
  await expect(openDataFolder(link, deps)).rejects.toThrow("it is a symbolic link");
  const inside = join(root, "inside");
  mkdirSync(inside, { mode: 0o700 });
  symlinkSync(join(root, "real"), join(inside, "binaries"));
  await expect(openDataFolder(inside, deps)).rejects.toThrow("it is a symbolic link");
});

test("A folder that a living agent uses is refused", async () => {
  const path = join(root, "agent");
  const first = await openDataFolder(path, deps);
  await expect(openDataFolder(path, deps)).rejects.toMatchObject({ code: "Conflict" });
  first.close();
  (await openDataFolder(path, deps)).close();
});
