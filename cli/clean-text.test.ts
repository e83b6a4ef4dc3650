import fc from "fast-check";
import { expect, it } from "vitest";
import { cleanLine, cleanText } from "./clean-text.ts";

const esc = String.fromCharCode(27);

it("A44 takes from a task's text what would move the cursor, set a title or answer back", () => {
  const hostile = `a${esc}[2J${esc}]0;owned\u0007b${esc}[6n${esc}]8;;http://x${esc}\\c\u009b2Kd`;
  expect(cleanText(hostile)).toBe("abcd");
  expect(cleanText("50%\rdone\u0000\u202e!")).toBe("50%done��!");
});

it("leaves colours where they are wanted, and ends them", () => {
  expect(cleanText(`${esc}[31mred${esc}[2J`, { colours: true })).toBe(`${esc}[31mred${esc}[0m`);
  expect(cleanText(`${esc}[31mred`)).toBe("red");
});

it("A44 lets no escape or control character through, whatever it is given", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      for (const character of cleanLine(text)) {
        const code = character.codePointAt(0) ?? 0;
        expect(code >= 32 && !(code >= 127 && code < 160)).toBe(true);
      }
    }),
  );
});
