import { isRef } from "#shared/values/types.ts";

/** Awaits every ref inside a value (in arrays, plain objects, maps and sets) and puts its output in its place. */
export async function resolveRefs(value: unknown): Promise<unknown> {
  const refs = new Map<object, unknown>();
  collect(value, refs, new Set());
  if (refs.size === 0) return value;
  const outputs = await Promise.all(refs.keys());
  for (const [index, ref] of [...refs.keys()].entries()) refs.set(ref, outputs[index]);
  return replace(value, refs);
}

const isRecord = (value: object): value is Record<string, unknown> => {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
};

function collect(value: unknown, refs: Map<object, unknown>, seen: Set<object>): void {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  if (isRef(value)) {
    refs.set(value, undefined);
    return;
  }
  seen.add(value);
  if (Array.isArray(value) || value instanceof Set) for (const member of value) collect(member, refs, seen);
  else if (value instanceof Map) for (const member of value.values()) collect(member, refs, seen);
  else if (isRecord(value)) for (const member of Object.values(value)) collect(member, refs, seen);
}

function replace(value: unknown, refs: ReadonlyMap<object, unknown>): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (refs.has(value)) return refs.get(value);
  if (Array.isArray(value)) return value.map((member) => replace(member, refs));
  if (value instanceof Set) return new Set([...value].map((member) => replace(member, refs)));
  if (value instanceof Map) return new Map([...value].map(([key, member]) => [key, replace(member, refs)]));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, replace(member, refs)]));
}
