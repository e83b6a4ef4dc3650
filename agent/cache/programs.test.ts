import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock, systemRandom } from "#shared/system.ts";
import { FakeCoordinator } from "../fakes/fake-coordinator.ts";
import { silentLogger } from "../fakes/stand.ts";
import { BinaryCache } from "./binary-cache.ts";
import { createBinaryFiles } from "./binary-files.ts";
import { createBlobClient } from "./blob-client.ts";
import { type PexFiles, systemPexFiles, treesOf } from "./pex-files.ts";
import { Programs } from "./programs.ts";

let coordinator: FakeCoordinator;
let folder: string;
const never = () => new AbortController().signal;

beforeEach(async () => {
  coordinator = new FakeCoordinator();
  await coordinator.open();
  folder = mkdtempSync(join(tmpdir(), "salt-programs-test-"));
});
afterEach(async () => {
  await coordinator.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Unpacking writes one file; what there is else is the system's own. */
function countingFiles(treeBytes: number) {
  const unpacked: string[] = [];
  const files: PexFiles = {
    ...systemPexFiles,
    async unpack(pex, { version }) {
      unpacked.push(version);
      mkdirSync(join(treesOf(pex), version), { recursive: true });
      writeFileSync(join(treesOf(pex), version, "module.py"), Buffer.alloc(treeBytes));
      return treeBytes;
    },
    verify: async (pex, { version }) => existsSync(join(treesOf(pex), version)),
  };
  return { files, unpacked };
}

async function open(files: PexFiles, bytesMax = 1_000) {
  const deps = { clock: systemClock, random: systemRandom, logger: silentLogger };
  const blobs = createBlobClient({ url: coordinator.url, token: "secret" }, deps);
  const cache = new BinaryCache({ ...deps, blobs, files: createBinaryFiles(folder) }, bytesMax);
  await cache.open();
  const pythons = ["3.10.2", "3.12.1", "3.11.7"].map((version) => ({ file: `/python-${version}`, version }));
  return { cache, programs: new Programs({ ...deps, cache, files }, pythons) };
}

const binary = (letter: string) => coordinator.add(Buffer.alloc(300, letter));

test("A PEX is unpacked once for the newest Python that it works with, however many wait for it, and after a restart not at all", async () => {
  const { files, unpacked } = countingFiles(100);
  const need = { binary: binary("a"), bytes: 300, python: ">=3.10,<3.12" };
  const { programs } = await open(files);
  expect(programs.ready(need)).toBeNull();
  await Promise.all([1, 2, 3].map(() => programs.acquire(need, never())));
  expect(unpacked).toEqual(["3.11.7"]);
  expect(programs.ready(need)?.[0]).toContain(join(".tree", "3.11.7"));
  const { programs: next } = await open(files);
  await next.acquire(need, never());
  expect(unpacked).toEqual(["3.11.7"]);
  await next.acquire({ ...need, python: "==3.12.*" }, never());
  expect(unpacked).toEqual(["3.11.7", "3.12.1"]);
  await expect(next.acquire({ ...need, python: ">=3.13" }, never())).rejects.toThrow("no Python >=3.13");
});

test("A37 what a PEX was unpacked to counts as its bytes and goes with it, and not while it is in use", async () => {
  const { files } = countingFiles(400);
  const { cache, programs } = await open(files);
  const [a, b, c] = ["a", "b", "c"].map(binary).map((one) => ({ binary: one, bytes: 300, python: ">=3.10" }));
  if (!a || !b || !c) throw new Error("three PEXes");
  await programs.acquire(a, never());
  programs.pin(a.binary);
  await expect(programs.acquire(b, never())).rejects.toMatchObject({ code: "NoSpace" });
  expect(programs.ready(a)).not.toBeNull();
  programs.unpin(a.binary);
  await programs.acquire(c, never());
  expect(programs.ready(a)).toBeNull();
  expect(existsSync(treesOf(join(folder, a.binary)))).toBe(false);
  expect(cache.digests()).toEqual([c.binary]);
  const { cache: next } = await open(files, 600);
  expect(next.digests()).toEqual([]);
});

test("A tree is what was unpacked until a byte of it changes, and nothing is left of one that could not be", async () => {
  const pex = join(folder, "x");
  const python = { file: join(folder, "python"), version: "3.11.7" };
  writeFileSync(python.file, '#!/bin/sh\nmkdir -p "$5" && echo one > "$5/module.py"\n', { mode: 0o755 });
  expect(await systemPexFiles.verify(pex, python)).toBe(false);
  expect(await systemPexFiles.unpack(pex, python)).toBe(4 + 64);
  expect(await systemPexFiles.verify(pex, python)).toBe(true);
  writeFileSync(join(treesOf(pex), python.version, "module.py"), "two\n");
  expect(await systemPexFiles.verify(pex, python)).toBe(false);
  writeFileSync(python.file, '#!/bin/sh\nmkdir -p "$5"\necho "needs 3.12" >&2; exit 1\n');
  await expect(systemPexFiles.unpack(pex, python)).rejects.toThrow(
    "Cannot unpack the PEX with Python 3.11.7: needs 3.12",
  );
  expect(readdirSync(treesOf(pex))).toEqual([]);
});
