import { expect, it } from "vitest";
import { fitsPython, isPythonSpecifier, newestPython } from "./python-versions.ts";

it("takes a version that every clause allows, as PEP 440 has it", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["3.11.7", ">=3.11,<3.14", true],
    ["3.14.0", ">=3.11,<3.14", false],
    ["3.9.18", ">=3.10", false],
    ["3.10.0", ">3.9", true],
    ["3.12.1", "==3.12.*", true],
    ["3.12.1", "==3.12", false],
    ["3.12.0", "==3.12", true],
    ["3.12.1", "!=3.12.1,>=3.12", false],
    ["3.12.1", "!=3.11.*", true],
    ["3.12.1", "~=3.11", true],
    ["4.0.0", "~=3.11", false],
    ["3.11.9", "~=3.11.4", true],
    ["3.12.0", "~=3.11.4", false],
    ["3.11.7", "<=3.11", false],
    ["3.11.7", "", true],
    ["3.11.7", "whatever", false],
    ["pypy3.10", ">=3.10", false],
  ];
  for (const [version, requires, fits] of cases)
    expect([version, requires, fitsPython(version, requires)]).toEqual([version, requires, fits]);
});

it("tells a specifier from other text, and picks the newest version that fits", () => {
  expect([">=3.11,<3.14", "python3", ""].map(isPythonSpecifier)).toEqual([true, false, false]);
  expect(newestPython(["3.9.18", "3.10.13", "3.12.1", "3.11.7"], ">=3.10,<3.12")).toBe("3.11.7");
  expect(newestPython(["3.9.18"], ">=3.10")).toBe(null);
});
