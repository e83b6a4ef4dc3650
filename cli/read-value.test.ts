import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { limits } from "#shared/domain/limits.ts";
import { type Cli, systemCli } from "./cli.ts";
import { readValue } from "./read-value.ts";

const cliWith = (text: string): Cli => ({ ...systemCli(), stdin: Readable.from([text]) as Cli["stdin"] });

test("a value is read from the flag or from stdin, and what is wrong with it is said with where it came from", async () => {
  expect(await readValue(cliWith(""), "--input", '{"a":1}')).toEqual({ a: 1 });
  expect(await readValue(cliWith("[2]"), "--input", "-")).toEqual([2]);
  await expect(readValue(cliWith("{"), "--value", "-")).rejects.toMatchObject({
    code: "BadRequest",
    message: expect.stringMatching(/^Cannot read stdin \(--value -\): it is no JSON: /),
  });
  const large = JSON.stringify("x".repeat(limits.requestBytesMax));
  await expect(readValue(cliWith(""), "--input", large)).rejects.toMatchObject({
    code: "TooLarge",
    message: expect.stringMatching(/^Cannot send the value of --input: it has \d+ bytes, at most \d+ are allowed\.$/),
    next: expect.stringContaining("let a task fetch them"),
  });
});
