import { SaltError } from "#shared/domain/errors.ts";
import type { Clock } from "#shared/ports.ts";

const withinMs = 30_000;

/** The body's bytes. `TooLarge` beyond `bytesMax`, before more is read; `TimedOut` when they take over 30 s. */
export async function readBody(
  deps: { readonly clock: Clock },
  request: Request,
  bytesMax: number,
): Promise<Uint8Array> {
  const tooLarge = (what: string) =>
    new SaltError(
      "TooLarge",
      `Cannot read the request's body: ${what}, at most ${bytesMax} bytes (requestBytesMax) are allowed.`,
    );
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > bytesMax) throw tooLarge(`it has ${announced} bytes`);
  if (!request.body) return new Uint8Array(0);
  const reader = request.body.getReader();
  let late = false;
  const timer = deps.clock.after(withinMs, () => {
    late = true;
    void reader.cancel();
  });
  const parts: Uint8Array[] = [];
  let bytes = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (late)
        throw new SaltError("TimedOut", `Cannot read the request's body: it did not come within ${withinMs} ms.`);
      if (done) return Buffer.concat(parts);
      bytes += value.length;
      if (bytes > bytesMax) throw tooLarge(`it has more than ${bytesMax} bytes`);
      parts.push(value);
    }
  } catch (error) {
    void reader.cancel().catch(() => undefined);
    if (error instanceof SaltError) throw error;
    throw new SaltError("BadRequest", "Cannot read the request's body: it broke off.", { cause: error });
  } finally {
    timer.cancel();
  }
}
