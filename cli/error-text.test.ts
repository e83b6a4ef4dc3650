import { expect, it } from "vitest";
import { tellError } from "./error-text.ts";
import { exitCodes } from "./exit-codes.ts";
import { fakeCli } from "./testing/fake-cli.ts";

const refused = (code: string) =>
  Object.assign(new Error(`${code}: refused, mkdir '/srv/x'`), { code, syscall: "mkdir", path: "/srv/x" });

it("tells what the operating system refused as what it is, and everything else as unexpected", () => {
  const told = (error: unknown) => {
    const cli = fakeCli();
    return [tellError(cli, error), cli.err()];
  };
  expect(told(refused("EACCES"))).toEqual([
    exitCodes.notAllowed,
    "Cannot use '/srv/x': EACCES: refused, mkdir '/srv/x'.\n→ name another folder, or let this user read and write there\n",
  ]);
  expect(told(refused("EROFS"))[0]).toBe(exitCodes.notAllowed);
  expect(told(refused("ENOTDIR"))[0]).toBe(exitCodes.usage);
  expect(told(refused("ENOSPC"))[1]).toBe("Cannot write '/srv/x': the disk is full.\n→ free some space\n");
  expect(told(refused("EIO"))[1]).toContain("Something unexpected went wrong");
  expect(told(new Error("x"))[1]).toContain("Something unexpected went wrong: x");
});
