import { expect, it } from "vitest";
import { durationText, parseDuration } from "./duration.ts";

it("reads durations with units, and bare numbers as seconds", () => {
  expect(parseDuration("500ms")).toBe(500);
  expect(parseDuration("1h30m")).toBe(5_400_000);
  expect(parseDuration("7d")).toBe(604_800_000);
  expect(parseDuration("2")).toBe(2_000);
});

it("refuses what is no duration, and says how to write one", () => {
  for (const text of ["", "soon", "5 minutes", "-3s", "3sx"]) {
    expect(() => parseDuration(text)).toThrow(`'${text}' is no duration.`);
  }
});

it("tells a duration in at most two units", () => {
  expect([0, 999, 1_234, 125_000, 3_600_000, 97_200_000].map(durationText)).toEqual([
    "0 ms",
    "999 ms",
    "1.2 s",
    "2 m 5 s",
    "1 h",
    "1 d 3 h",
  ]);
});
