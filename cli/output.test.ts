import { Ansis } from "ansis";
import stringWidth from "string-width";
import { describe, expect, it } from "vitest";
import { cutText, pickFields, printList, tableLines } from "./output.ts";
import { fakeCli } from "./testing/fake-cli.ts";

const columns = [
  { title: "NAME", text: (row: { name: string; n: number }) => row.name },
  { title: "N", text: (row: { name: string; n: number }) => String(row.n), align: "right" as const },
];
const plain = new Ansis(0);

describe("tables", () => {
  it("aligns columns by what they take on a terminal", () => {
    const rows = [
      { name: "été", n: 7 },
      { name: "日本", n: 1234 },
    ];
    expect(tableLines(rows, columns, { width: null, colours: plain })).toEqual([
      "NAME     N",
      "été      7",
      "日本  1234",
    ]);
  });

  it("fits a narrow terminal by cutting its widest column", () => {
    const lines = tableLines([{ name: "x".repeat(200), n: 1 }], columns, { width: 40, colours: plain });
    expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(40);
    expect(lines[1]).toContain("…");
  });

  it("shortens what has a way of its own to be shorter by that", () => {
    const id = { title: "ID", text: (row: { id: string }) => row.id, shorten: (text: string) => text.slice(0, 4) };
    const lines = tableLines([{ id: "x".repeat(50) }], [id], { width: 10, colours: plain });
    expect(lines[1]).toBe("xxxx");
  });

  it("cuts nothing off in a pipe", () => {
    const cli = fakeCli();
    printList(cli, [{ name: "x".repeat(200), n: 1 }], columns, { empty: "" });
    expect(cli.out()).toContain("x".repeat(200));
  });

  it("says what to do in place of an empty table, on stderr", () => {
    const cli = fakeCli();
    printList(cli, [], columns, { empty: "No rows." });
    expect([cli.out(), cli.err()]).toEqual(["", "No rows.\n"]);
  });
});

it("picks fields of rows, also inner ones, and refuses unknown ones with the nearest", () => {
  expect(pickFields([{ a: 1, b: { c: 2 } }], ["b.c"])).toEqual([{ "b.c": 2 }]);
  expect(() => pickFields({ status: "x" }, ["staus"])).toThrow("There is no field 'staus'. Did you mean 'status'?");
  expect(() => pickFields({}, ["constructor"])).toThrow("There is no field 'constructor'.");
});

it("cuts text by what it takes on a terminal, never within a character", () => {
  expect(cutText("日本語", 5)).toBe("日本…");
  expect(cutText("👩‍👩‍👧 family", 4)).toBe("👩‍👩‍👧 …");
});
