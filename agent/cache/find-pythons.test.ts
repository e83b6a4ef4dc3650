import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { findPythons } from "./find-pythons.ts";

test("Only a released CPython that answers is a Python, one of each version, the first that is found", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "salt-pythons-"));
  const fake = async (name: string, version: string) => {
    await writeFile(path.join(folder, name), `#!/bin/sh\necho /opt/${name}\necho "${version}"\n`);
    await chmod(path.join(folder, name), 0o755);
  };
  await fake("python3", "3.97.1");
  await fake("python3.12", "3.97.1");
  await fake("python3.11", "3.96.4");
  await fake("python3.10", "");
  await writeFile(path.join(folder, "python3.13"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  await writeFile(path.join(folder, "python3.14"), "not executable");
  const found = (await findPythons(folder)).filter(({ file }) => file.startsWith("/opt/"));
  expect(found).toEqual([
    { file: "/opt/python3", version: "3.97.1" },
    { file: "/opt/python3.11", version: "3.96.4" },
  ]);
  await rm(folder, { recursive: true });
});
