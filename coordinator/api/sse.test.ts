import { describe, expect, it } from "vitest";
import type { Clock } from "#shared/ports.ts";
import { systemClock } from "#shared/system.ts";
import { positionAfter, type SseEvent, streamEvents } from "./sse.ts";

const onError = (error: unknown) => {
  throw error;
};
const waiting = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

describe("streamEvents", () => {
  it("asks for no more than its reader takes, and stops its source when the reader is gone", async () => {
    let made = 0;
    let stopped = false;
    async function* source(signal: AbortSignal): AsyncGenerator<readonly SseEvent[]> {
      try {
        while (!signal.aborted) {
          made += 1;
          yield [{ id: String(made), event: "entry", data: "x".repeat(10_000) }];
        }
      } finally {
        stopped = true;
      }
    }
    const reader = streamEvents({ clock: systemClock, onError }, source).body?.getReader();
    await reader?.read();
    await reader?.read();
    await new Promise((resolve) => setImmediate(resolve));
    expect(made).toBeLessThanOrEqual(2);
    await reader?.cancel();
    expect(stopped).toBe(true);
  });

  it("sends a comment when nothing happens, and stops waiting when the reader is gone", async () => {
    const timers: (() => void)[] = [];
    const beating: Clock = {
      ...systemClock,
      after(_, callback) {
        timers.push(callback);
        return { cancel: () => undefined };
      },
    };
    async function* silent(signal: AbortSignal): AsyncGenerator<readonly SseEvent[]> {
      await waiting(signal);
      yield [];
    }
    const reader = streamEvents({ clock: beating, onError }, silent).body?.getReader();
    await reader?.read();
    const next = reader?.read();
    await new Promise((resolve) => setImmediate(resolve));
    timers.shift()?.();
    expect(Buffer.from((await next)?.value ?? []).toString()).toBe(": still here\n\n");
    await reader?.cancel();
  });

  it("closes without an end, and tells, when its source fails: its reader asks for the rest", async () => {
    const told: unknown[] = [];
    const lost = new Error("the store is away");
    async function* failing(): AsyncGenerator<readonly SseEvent[]> {
      yield [{ id: "1", event: "entry", data: {} }];
      throw lost;
    }
    const answer = streamEvents({ clock: systemClock, onError: (error) => told.push(error) }, failing);
    const text = await answer.text();
    expect(text).toContain("id: 1\n");
    expect(text).not.toContain("event: end");
    expect(told).toEqual([lost]);
  });
});

describe("positionAfter", () => {
  it("goes on after the Last-Event-ID where that is a position", () => {
    const at = (id: string | null) =>
      positionAfter(new Request("http://x", { headers: id === null ? {} : { "last-event-id": id } }), 3);
    expect([at("17"), at(null), at("x"), at("-1"), at("9".repeat(30))]).toEqual([17, 3, 3, 3, 3]);
  });
});
