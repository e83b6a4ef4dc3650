import { expect, test } from "vitest";
import { sha256 } from "../domain/ids.ts";
import { encodeValue } from "./encode-value.ts";
import { FileFinder, filesIn, filesInBytes } from "./files-in.ts";
import { FileValue } from "./types.ts";

const file = (n: number) => new FileValue({ sha256: sha256(`file ${n}`), bytes: n, name: 'a "sha256" name' });

test("C9 the files of an encoded value are found, however deep, each once", () => {
  const json = encodeValue({ a: [file(1), { b: file(2) }], c: new Map([["k", file(3)]]), again: file(1) });
  const digests = [1, 2, 3].map((n) => sha256(`file ${n}`));
  expect(filesIn(json).sort()).toEqual([...digests].sort());
  expect(filesInBytes(Buffer.from(json)).sort()).toEqual([...digests].sort());
  expect(filesIn(JSON.stringify(JSON.parse(json), null, 2)).sort()).toEqual([...digests].sort());
});

test("C9 values without files have none", () => {
  expect(filesIn(encodeValue({ text: "x".repeat(100), when: new Date(0) }))).toEqual([]);
  expect(filesInBytes(Buffer.from([0xff, 0xfe, 0x00]))).toEqual([]);
  expect(filesIn(JSON.stringify({ sha256: "0".repeat(64) }))).toEqual([]);
});

test("C9 a text that comes in parts has the same files, wherever it is cut", () => {
  const json = encodeValue(["é".repeat(50), file(1), "y".repeat(300), file(2)]);
  const bytes = Buffer.from(json);
  for (let cut = 1; cut < bytes.length; cut += 7) {
    const finder = new FileFinder();
    finder.add(bytes.subarray(0, cut));
    finder.add(bytes.subarray(cut, cut + 40));
    finder.add(bytes.subarray(cut + 40));
    expect(finder.files.sort()).toEqual(filesIn(json).sort());
  }
});
