import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import type { BinaryFiles } from "#agent/cache/binary-files.ts";
import type { BlobClient } from "#agent/cache/blob-client.ts";
import type { Values } from "#agent/runner/program-values.ts";
import type { BlobStore } from "#coordinator/blobs/blobs.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { type Sha256, sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { SeededRandom } from "../support/seeded-random.ts";
import type { Life } from "./life.ts";
import type { MachineDisk } from "./sim-disk.ts";

/** The bytes that all coordinators and agents share. */
export class SharedBlobs {
  readonly #texts = new Map<Sha256, string>();
  readonly #random: SeededRandom;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  put(text: string): Sha256 {
    const digest = sha256(text);
    this.#texts.set(digest, text);
    return digest;
  }

  get(digest: Sha256): string | null {
    return this.#texts.get(digest) ?? null;
  }

  /** For a coordinator. */
  store(): BlobStore {
    return {
      put: async (_digest, bytes) => {
        const text = (bytes instanceof Uint8Array ? Buffer.from(bytes) : await buffer(bytes)).toString();
        this.put(text);
        return { bytes: Buffer.byteLength(text) };
      },
      get: async (digest) => {
        const text = this.get(digest);
        return text === null ? null : { bytes: Buffer.byteLength(text), stream: Readable.from([Buffer.from(text)]) };
      },
      has: async (digests) =>
        digests.map((digest) => {
          const text = this.get(digest);
          return text === null ? null : Buffer.byteLength(text);
        }),
      delete: async (digest) => void this.#texts.delete(digest),
      presign: async () => null,
      close: async () => undefined,
    };
  }

  /** For an agent. */
  clientOf(life: Life, disk: MachineDisk): BlobClient {
    const later = <T>(what: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        life.reach(1 + this.#random.float() * 20, () => {
          try {
            resolve(what());
          } catch (error) {
            reject(error as Error);
          }
        });
      });
    return {
      fetchTo: (digest, file) =>
        later(() => {
          const text = this.get(digest);
          if (text === null) throw new SaltError("NotFound", `There is no blob ${digest}.`);
          if (disk.full) throw new SaltError("NoSpace", `Cannot store blob ${digest}: the disk is full.`);
          disk.write(file, text);
          return { bytes: Buffer.byteLength(text) };
        }),
      put: (_digest, body) =>
        later(() => {
          if (body instanceof Uint8Array) this.put(Buffer.from(body).toString());
        }),
    };
  }
}

/** Binaries are texts on the simulated disk. */
export function simBinaryFiles(disk: MachineDisk, folder: string): BinaryFiles {
  let parts = 0;
  const path = (digest: Sha256) => `${folder}/${digest}`;
  return {
    path,
    partPath(digest) {
      parts += 1;
      return `${path(digest)}.${parts}.part`;
    },
    async sweep() {
      const found = disk.list(folder);
      for (const name of found) if (name.endsWith(".part")) disk.remove(`${folder}/${name}`);
      return found
        .filter((name) => !name.endsWith(".part"))
        .map((name) => ({ sha256: name as Sha256, bytes: disk.read(`${folder}/${name}`)?.length ?? 0 }));
    },
    async admit(digest, part) {
      disk.write(path(digest), disk.read(part) ?? "", true);
      disk.remove(part);
    },
    verify: async (digest) => sha256(disk.read(path(digest)) ?? "") === digest,
    touch: async () => undefined,
    sizeOf: async (digest) => ({ size: disk.read(path(digest))?.length ?? 0 }),
    remove: async (file) => disk.remove(file),
  };
}

/** Values between coordinator and program: what is beyond the bound goes as a blob there and a file here. */
export function simValues(disk: MachineDisk, { blobs, folder }: { blobs: BlobClient; folder: string }): Values {
  const bringBlob: Values["bringBlob"] = async (attempt, digest, bytesMax) => {
    const path = `${folder}/${attempt.argsId}.${attempt.valueFiles.length}`;
    attempt.valueFiles.push(path);
    const { bytes } = await blobs.fetchTo(digest, path, { bytesMax, mode: 0o400 });
    return { path, bytes };
  };
  return {
    bringBlob,
    bring: (attempt, value) => ("json" in value ? value : bringBlob(attempt, value.blob, value.bytes)),
    take(_attempt, value) {
      const text = "json" in value ? value.json : (disk.read(value.path) ?? "");
      const bytes = Buffer.from(text);
      if (bytes.length <= limits.inlineBytesMax) return { json: text };
      const blob = sha256(bytes);
      return blobs.put(blob, bytes).then(() => ({ blob, bytes: bytes.length }));
    },
    takeFile: async () => undefined,
    async rewrite(path, text) {
      const after = await text(disk.read(path) ?? "");
      disk.write(path, after);
      return { path, bytes: Buffer.byteLength(after) };
    },
    release(attempt) {
      for (const path of attempt.valueFiles) disk.remove(path);
    },
  };
}
