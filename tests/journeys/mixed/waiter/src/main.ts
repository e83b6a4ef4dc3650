import { RemoteError, TaskFailed, workflow, z } from "@salt/sdk";
import * as kitchen from "./kitchen.ts";
import * as pantry from "./pantry.ts";

const kindsOf = (parcel: object): Record<string, string> =>
  Object.fromEntries(Object.entries(parcel).map(([name, value]) => [name, kindOf(value)]));
const kindOf = (value: unknown): string =>
  typeof value === "object" && value !== null ? value.constructor.name : typeof value;

/** Parcels of either language, by value through this workflow, and by ref past it, to either language. */
workflow({ name: "tour" }, async () => {
  const parcel = await pantry.pack("by value");
  return {
    kinds: kindsOf(parcel),
    byValue: await pantry.inspect(parcel),
    toPython: await pantry.inspect(kitchen.pack("by ref")),
    toTypeScript: await kitchen.inspect(pantry.pack("by ref")),
  };
});

workflow({ name: "past", input: z.number() }, async (lines) => [
  await pantry.count(kitchen.lines(lines)),
  await kitchen.count(pantry.lines(lines)),
]);

/** What `past` does not do. */
workflow({ name: "through", input: z.number() }, async (lines) => await kitchen.count(await pantry.lines(lines)));

const told = (error: unknown): unknown =>
  error instanceof Error
    ? {
        type: error.name,
        message: error.message,
        cause: told(error.cause),
        ...(error instanceof RemoteError ? { details: error.details } : {}),
      }
    : null;

workflow({ name: "accident", input: z.string() }, async (what) => {
  try {
    await (what === "zero" ? pantry.halve(0) : pantry.spoil(what));
  } catch (error) {
    if (error instanceof TaskFailed) return told(error.cause);
    throw error;
  }
});
