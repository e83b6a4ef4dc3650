import { PassThrough, Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Sha256, sha256 } from "#shared/domain/ids.ts";
import type { BlobStore } from "./blobs.ts";

/** What every blob store must do. `create` gives an empty one. */
export function describeBlobStore(name: string, create: () => BlobStore | Promise<BlobStore>): void {
  describe(`${name} blob store`, () => {
    let blobs: BlobStore;
    beforeEach(async () => {
      blobs = await create();
    });
    afterEach(() => blobs.close());

    const text = Buffer.from("the bytes of a blob");
    const digest = sha256(text);
    const large = Buffer.alloc(3 * 1024 * 1024 + 17, "salt ");
    const read = async (of: Sha256, range?: { start: number; end?: number }) => {
      const found = await (range ? blobs.get(of, range) : blobs.get(of));
      if (found === null) return null;
      const bytes = await buffer(found.stream);
      expect(bytes.byteLength).toBe(found.bytes);
      return bytes;
    };

    test("what was put can be got, given as bytes or as a stream", async () => {
      expect(await blobs.put(digest, text, 100)).toEqual({ bytes: text.byteLength });
      expect(await read(digest)).toEqual(text);
      const ofLarge = sha256(large);
      const stream = Readable.from([large.subarray(0, 1_000_000), large.subarray(1_000_000)]);
      expect(await blobs.put(ofLarge, stream, large.byteLength)).toEqual({ bytes: large.byteLength });
      expect((await read(ofLarge))?.equals(large)).toBe(true);
    });

    test("an empty blob is a blob", async () => {
      const empty = sha256("");
      await blobs.put(empty, new Uint8Array(), 0);
      expect(await blobs.has([empty])).toEqual([0]);
      expect(await read(empty)).toEqual(Buffer.alloc(0));
    });

    test("a range has its start in it and its end not, and ends with the blob", async () => {
      await blobs.put(digest, text, 100);
      expect(await read(digest, { start: 4, end: 9 })).toEqual(text.subarray(4, 9));
      expect(await read(digest, { start: 4 })).toEqual(text.subarray(4));
      expect(await read(digest, { start: 4, end: 9_999 })).toEqual(text.subarray(4));
      expect(await read(digest, { start: 0, end: 0 })).toEqual(Buffer.alloc(0));
      expect(await read(digest, { start: 9_999 })).toEqual(Buffer.alloc(0));
    });

    test("an absent blob is null, and has no size", async () => {
      await blobs.put(digest, text, 100);
      expect(await read(sha256("other"))).toBeNull();
      expect(await blobs.has([sha256("other"), digest, sha256("third")])).toEqual([null, text.byteLength, null]);
      expect(await blobs.has([])).toEqual([]);
    });

    test("bytes of another digest are refused, and nothing is left of them", async () => {
      const refused = blobs.put(digest, Buffer.from("The bytes of a blob"), 100);
      await expect(refused).rejects.toMatchObject({ code: "DigestMismatch", next: expect.any(String) });
      expect(await blobs.has([digest])).toEqual([null]);
    });

    test("bytes beyond the bound are refused as soon as they come, and nothing is left of them", async () => {
      const endless = Readable.from(
        (function* () {
          for (;;) yield large;
        })(),
      );
      const refused = blobs.put(sha256(large), endless, large.byteLength);
      await expect(refused).rejects.toMatchObject({ code: "TooLarge", next: expect.any(String) });
      expect(endless.destroyed).toBe(true);
      expect(await blobs.has([sha256(large)])).toEqual([null]);
    });

    test("an upload that breaks off leaves nothing, and can be made again", async () => {
      const broken = new PassThrough();
      broken.write(text.subarray(0, 5));
      const refused = blobs.put(digest, broken, 100);
      broken.destroy(new Error("the link was cut"));
      await expect(refused).rejects.toThrow("the link was cut");
      expect(await blobs.has([digest])).toEqual([null]);
      await blobs.put(digest, text, 100);
      expect(await read(digest)).toEqual(text);
    });

    test("a blob put many times at once is one blob", async () => {
      const puts = Array.from({ length: 8 }, () => blobs.put(digest, Readable.from([text]), 100));
      expect(await Promise.all(puts)).toEqual(Array(8).fill({ bytes: text.byteLength }));
      expect(await read(digest)).toEqual(text);
    });

    test("a refused upload does not touch the blob that is there", async () => {
      await blobs.put(digest, text, 100);
      await expect(blobs.put(digest, Buffer.from("damaged"), 100)).rejects.toMatchObject({ code: "DigestMismatch" });
      expect(await read(digest)).toEqual(text);
    });

    test("a deleted blob is absent, and deleting what is absent does nothing", async () => {
      await blobs.put(digest, text, 100);
      await blobs.delete(digest);
      await blobs.delete(digest);
      expect(await blobs.has([digest])).toEqual([null]);
      expect(await read(digest)).toBeNull();
    });

    test("A59 a name that is not a digest is refused, whatever it is", async () => {
      const names = [
        "",
        "..",
        "../../etc/passwd",
        `${digest}/..`,
        digest.toUpperCase(),
        `${digest}\0`,
        digest.slice(1),
      ];
      for (const name of names as Sha256[]) {
        await expect(blobs.put(name, text, 100)).rejects.toMatchObject({ code: "BadRequest" });
        await expect(blobs.get(name)).rejects.toMatchObject({ code: "BadRequest" });
        await expect(blobs.has([name])).rejects.toMatchObject({ code: "BadRequest" });
        await expect(blobs.delete(name)).rejects.toMatchObject({ code: "BadRequest" });
      }
    });

    test("a reader that leaves early leaves nothing open", async () => {
      await blobs.put(sha256(large), large, large.byteLength);
      for (let n = 0; n < 20; n++) {
        const found = await blobs.get(sha256(large));
        found?.stream.destroy();
      }
      expect((await read(sha256(large)))?.equals(large)).toBe(true);
    });
  });
}
