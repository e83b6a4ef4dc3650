import { expect, test } from "vitest";
import { systemClock, systemRandom } from "#shared/system.ts";
import { memoryBlobs } from "../tests/support/memory-blobs.ts";
import { agreeBlobStore } from "./agree-blob-store.ts";
import type { BlobStore } from "./blobs/blobs.ts";
import { createMemoryEngine } from "./engine/memory/memory-engine.ts";

const stand = () => {
  const engine = createMemoryEngine({ clock: systemClock });
  return (blobs: BlobStore, place: string, adopt = false) =>
    agreeBlobStore({ engine, blobs, random: systemRandom, place, adopt });
};

test("coordinators of one engine that have one blob store agree, however many begin at once", async () => {
  const agree = stand();
  const blobs = memoryBlobs();
  await Promise.all([agree(blobs, "s3://a"), agree(blobs, "s3://a"), agree(blobs, "s3://a")]);
  await agree(blobs, "s3://a");
  expect(blobs.blobs.size).toBe(1);
});

test("one that has another is refused, and told which it should be", async () => {
  const agree = stand();
  await agree(memoryBlobs(), "s3://a");
  await expect(agree(memoryBlobs(), "s3://b")).rejects.toMatchObject({
    code: "BadRequest",
    message: "Cannot keep blobs in s3://b: other coordinators have s3://a.",
    next: expect.stringContaining("--adopt-blob-store"),
  });
});

test("a store takes the place of one that is lost when that is said, and the lost one is refused from then on", async () => {
  const agree = stand();
  const lost = memoryBlobs();
  await agree(lost, "s3://lost");
  const other = memoryBlobs();
  await agree(other, "s3://new", true);
  await agree(other, "s3://new");
  await expect(agree(lost, "s3://lost")).rejects.toThrow("other coordinators have s3://new");
});
