import type { Clock } from "#shared/ports.ts";

/** An event of a stream; `id` is what a client sends back as `Last-Event-ID`. */
export interface SseEvent {
  readonly id: string;
  readonly event: string;
  readonly data: unknown;
}

const heartbeatMs = 15_000;

/**
 * Server-sent events (HTML living standard, section 9.2) out of a generator of batches. The generator is asked for more
 * only when the client has taken what there is, so that a slow reader costs no memory; a comment is sent when nothing
 * happened for 15 s; `end` is the last event of a stream that came to its end. One whose generator fails is closed without
 * it, so that its client asks again for the rest, and is told then what is wrong. The generator's signal aborts when the
 * client is gone.
 */
export function streamEvents(
  deps: { readonly clock: Clock; readonly onError: (error: unknown) => void },
  start: (signal: AbortSignal) => AsyncGenerator<readonly SseEvent[]>,
): Response {
  const gone = new AbortController();
  const encoder = new TextEncoder();
  const events = start(gone.signal);
  let next: Promise<IteratorResult<readonly SseEvent[]>> | null = null;
  const stream = new ReadableStream<Uint8Array>(
    {
      // Headers travel with the first bytes, so a stream that has nothing to say yet begins with a comment.
      start: (controller) => controller.enqueue(encoder.encode(": stream\n\n")),
      async pull(controller) {
        next ??= events.next();
        const result = await orHeartbeat(deps.clock, next).catch((error: unknown) => {
          deps.onError(error);
          return "failed" as const;
        });
        if (gone.signal.aborted) return;
        if (result === "failed") {
          controller.close();
          return;
        }
        if (result === "heartbeat") {
          controller.enqueue(encoder.encode(": still here\n\n"));
          return;
        }
        next = null;
        if (result.done) {
          controller.enqueue(encoder.encode("event: end\ndata: {}\n\n"));
          controller.close();
          return;
        }
        controller.enqueue(encoder.encode(result.value.map(textOf).join("")));
      },
      async cancel() {
        gone.abort();
        await events.return(undefined).catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(stream, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    },
  });
}

const textOf = ({ id, event, data }: SseEvent): string =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

async function orHeartbeat<Value>(clock: Clock, value: Promise<Value>): Promise<Value | "heartbeat"> {
  let beat: () => void = () => undefined;
  const heartbeat = new Promise<"heartbeat">((resolve) => {
    beat = () => resolve("heartbeat");
  });
  const timer = clock.after(heartbeatMs, beat);
  try {
    return await Promise.race([value, heartbeat]);
  } finally {
    timer.cancel();
  }
}

/** Where a client that comes back goes on: after its `Last-Event-ID` where it has one, else after what it asks for. */
export function positionAfter(raw: Request, after: number): number {
  const last = raw.headers.get("last-event-id");
  return last !== null && /^\d{1,15}$/.test(last) ? Number(last) : after;
}
