import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import { describeBlobStore } from "../contract.ts";
import { createDiskBlobs } from "./disk-blobs.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "salt-blobs-"));
});
afterEach(() => rm(folder, { recursive: true }));

describeBlobStore("disk", () => createDiskBlobs({ folder: join(folder, "blobs") }));

const text = Buffer.from("the bytes of a blob");
const digest = sha256(text);
const files = async () =>
  (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());

test("a blob is a file of its owner alone, named by its digest below the digest's first two digits", async () => {
  await createDiskBlobs({ folder }).put(digest, text, 100);
  const path = join(folder, digest.slice(0, 2), digest);
  expect(await readFile(path)).toEqual(text);
  expect((await stat(path)).mode & 0o077).toBe(0);
  expect(await files()).toHaveLength(1);
});

test("A33 a blob that the disk damaged is told at the end of reading it, and putting it again mends it", async () => {
  const blobs = createDiskBlobs({ folder });
  await blobs.put(digest, text, 100);
  await writeFile(join(folder, digest.slice(0, 2), digest), "the bytes of a bloB");
  const damaged = await blobs.get(digest);
  if (damaged === null) throw new Error("The blob should be there.");
  await expect(buffer(damaged.stream)).rejects.toMatchObject({ code: "DigestMismatch" });
  await blobs.put(digest, text, 100);
  const mended = await blobs.get(digest);
  expect(mended && (await buffer(mended.stream))).toEqual(text);
});

test("A34 a truncated blob is told too", async () => {
  const blobs = createDiskBlobs({ folder });
  await blobs.put(digest, text, 100);
  for (const bytes of [4, 0]) {
    await writeFile(join(folder, digest.slice(0, 2), digest), text.subarray(0, bytes));
    const damaged = await blobs.get(digest);
    if (damaged === null) throw new Error("The blob should be there.");
    await expect(buffer(damaged.stream)).rejects.toMatchObject({ code: "DigestMismatch" });
  }
});

test("a full disk is NoSpace, and nothing is left of the upload", async () => {
  const createFile = () =>
    new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error("no space left on device"), { code: "ENOSPC" })),
    });
  const blobs = createDiskBlobs({ folder, createFile });
  await expect(blobs.put(digest, text, 100)).rejects.toMatchObject({
    code: "NoSpace",
    retryable: true,
    next: expect.stringContaining("Free space"),
  });
  expect(await blobs.has([digest])).toEqual([null]);
  expect(await files()).toEqual([]);
});

test("A35 what an earlier process left unfinished is gone after the next start, and blobs are not", async () => {
  await createDiskBlobs({ folder }).put(digest, text, 100);
  await writeFile(join(folder, "unfinished", `${digest}.7`), "half of");
  const blobs = createDiskBlobs({ folder });
  expect(await readdir(join(folder, "unfinished"))).toEqual([]);
  expect(await blobs.has([digest])).toEqual([text.byteLength]);
});

test("what the file system refuses is an operating error, whatever was asked", async () => {
  const blobs = createDiskBlobs({ folder });
  await writeFile(join(folder, digest.slice(0, 2)), "no folder");
  for (const ask of [
    () => blobs.put(digest, text, 100),
    () => blobs.get(digest),
    () => blobs.has([digest]),
    () => blobs.delete(digest),
  ]) {
    await expect(ask()).rejects.toMatchObject({ code: "Unavailable", next: expect.any(String) });
  }
});

test("a refused upload leaves no file", async () => {
  const blobs = createDiskBlobs({ folder });
  await expect(blobs.put(digest, Buffer.from("other"), 100)).rejects.toMatchObject({ code: "DigestMismatch" });
  await expect(blobs.put(digest, text, 3)).rejects.toMatchObject({ code: "TooLarge" });
  expect(await files()).toEqual([]);
});

test("a folder that cannot be is refused when the store is opened", async () => {
  await writeFile(join(folder, "file"), "");
  expect(() => createDiskBlobs({ folder: join(folder, "file", "blobs") })).toThrow(
    expect.objectContaining({ code: "Unavailable", next: expect.any(String) }),
  );
});
