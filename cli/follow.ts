import { setTimeout as sleep } from "node:timers/promises";
import { SaltError } from "#shared/domain/errors.ts";
import type { RouteName } from "#shared/protocol/routes.ts";
import type { CallRequest, Client } from "./client.ts";
import { readEvents } from "./server-events.ts";

const pauseFirstMs = 200;
const pauseMaxMs = 5_000;

export interface StreamEvent {
  readonly event: string;
  /** Of the event; of one that is about the moment alone, of the last event before it. */
  readonly position: number;
  readonly value: unknown;
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** Position after which to begin. Default 0: everything. */
  readonly after?: number;
  /** Called when the link was lost and once when it is back. */
  readonly onLink?: (state: "lost" | "back") => void;
}

/**
 * The events of a stream, each once and in order, over as many connections as it takes: after a lost link it asks for
 * what comes after the last event's id. `progress` events have no place in that order, and come as they are sent. Ends when
 * the stream is over or `signal` aborts; a refusal is thrown.
 */
export async function* followStream<Name extends RouteName>(
  client: Client,
  name: Name,
  request: CallRequest<Name>,
  options: FollowOptions,
): AsyncGenerator<StreamEvent> {
  let position = options.after ?? 0;
  let pauseMs = pauseFirstMs;
  let lost = false;
  while (!options.signal.aborted) {
    try {
      const headers = position > 0 ? { "last-event-id": String(position) } : {};
      const answer = await client.open(name, { ...request, headers, signal: options.signal });
      if (lost) options.onLink?.("back");
      lost = false;
      try {
        for await (const event of readEvents(answer)) {
          if (event.event === "end") return;
          if (event.event !== "progress") {
            const at = Number(event.id);
            if (!(at > position)) continue;
            position = at;
          }
          pauseMs = pauseFirstMs;
          yield { event: event.event, position, value: JSON.parse(event.data) as unknown };
        }
      } finally {
        // Of an answer that has come whole, Node leaves what nobody reads any more, and its connection, to the process.
        answer.destroy();
      }
    } catch (error) {
      if (options.signal.aborted) return;
      if (error instanceof SaltError && !error.retryable) throw error;
      if (!lost) options.onLink?.("lost");
      lost = true;
    }
    await sleep(pauseMs, undefined, { signal: options.signal }).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, pauseMaxMs);
  }
}
