import { describe, expect, it } from "vitest";
import { didYouMean, nearestWord } from "./nearest.ts";

describe("nearestWord", () => {
  it("finds a word with a letter wrong, missing, too many or swapped", () => {
    const known = ["build", "register-workflow", "runs"];
    expect(nearestWord("biuld", known)).toBe("build");
    expect(nearestWord("bild", known)).toBe("build");
    expect(nearestWord("builld", known)).toBe("build");
    expect(nearestWord("register-worflow", known)).toBe("register-workflow");
  });

  it("finds nothing when no word is near", () => {
    expect(nearestWord("deploy", ["build", "runs"])).toBeNull();
    expect(didYouMean("x", [])).toBe("");
  });
});
