import { describe, expectTypeOf, test } from "vitest";
import { type Ref, task, workflow, z } from "../index.ts";

const score = task(
  {
    name: "t-score",
    input: z.object({ text: z.string(), weight: z.number().default(1) }),
    output: z.object({ value: z.number() }),
  },
  async ({ text, weight }) => {
    expectTypeOf(text).toEqualTypeOf<string>();
    expectTypeOf(weight).toEqualTypeOf<number>();
    return { value: text.length * weight };
  },
);
const sum = task({ name: "t-sum" }, ({ values }: { values: number[] }) => values.reduce((a, b) => a + b, 0));
const tick = task({ name: "t-tick" }, async () => "tick");
const maybe = task({ name: "t-maybe", input: z.number().optional() }, async (n) => n ?? 0);
const child = workflow({ name: "t-child", input: z.string(), output: z.date() }, async () => new Date(0));

describe("types", () => {
  test("a call takes the schema's input, with refs anywhere, and gives a ref of its output", () => {
    const calls = () => {
      const a = score({ text: "x" });
      expectTypeOf(a).toEqualTypeOf<Ref<{ value: number }>>();
      const text = tick();
      expectTypeOf(text).toEqualTypeOf<Ref<string>>();
      void score({ text, weight: 2 }, { key: "own", retry: { attempts: 2 } });
      const total = sum({ values: [1, sum({ values: [] })] });
      expectTypeOf(total).toEqualTypeOf<Ref<number>>();
      void maybe();
      void maybe(3);
      expectTypeOf(child(text)).toEqualTypeOf<Ref<Date>>();
      // @ts-expect-error a number is not a string
      void score({ text: 1 });
      // @ts-expect-error the ref is of another type
      void score({ text: total });
      // @ts-expect-error the input is missing
      void score();
      // @ts-expect-error not an option
      void tick(undefined, { retries: 3 });
    };
    expectTypeOf(calls).toBeFunction();
  });

  test("a function must return what the output schema takes", () => {
    const wrong = () => {
      // @ts-expect-error a string is not a number
      task({ name: "t-wrong", output: z.number() }, async () => "x");
      // @ts-expect-error a string is not a number
      workflow({ name: "t-wrong-too", output: z.number() }, async () => "x");
    };
    expectTypeOf(wrong).toBeFunction();
  });

  test("literals in what is returned keep their types, so an output may be a union of shapes", () => {
    const kept = () => {
      const output = z.discriminatedUnion("status", [
        z.object({ status: z.literal("paid"), by: z.string() }),
        z.object({ status: z.literal("refused") }),
      ]);
      const input = z.object({ by: z.string() });
      workflow({ name: "t-union", input, output }, async ({ by }) => {
        if (by === "") return { status: "refused" };
        return { status: "paid", by: tick() };
      });
      task({ name: "t-union-task", output }, async () => ({ status: "refused" }));
      // @ts-expect-error no such status
      task({ name: "t-union-wrong", output }, async () => ({ status: "lost" }));
    };
    expectTypeOf(kept).toBeFunction();
  });

  test("a workflow may return refs in its output, and its own type follows from what it returns", () => {
    workflow({ name: "t-refs", output: z.object({ value: z.number(), at: z.date() }) }, async () => ({
      value: sum({ values: [] }),
      at: child("x"),
    }));
    workflow({ name: "t-ref", output: z.number() }, () => sum({ values: [] }));
    const inferred = workflow({ name: "t-inferred" }, async (input: { n: number }) => sum({ values: [input.n] }));
    const call = () => expectTypeOf(inferred({ n: 1 })).toEqualTypeOf<Ref<number>>();
    expectTypeOf(call).toBeFunction();
  });

  test("checks see the parsed input and output", () => {
    task(
      {
        name: "t-checked",
        input: z.object({ n: z.number() }),
        output: z.array(z.string()),
        checks: {
          enough: (output, input) => {
            expectTypeOf(output).toEqualTypeOf<string[]>();
            expectTypeOf(input).toEqualTypeOf<{ n: number }>();
            return output.length >= input.n;
          },
        },
      },
      async ({ n }) => Array.from({ length: n }, () => "x"),
    );
  });
});
