import { SaltError } from "#shared/domain/errors.ts";
import type { CallKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { encodeValue } from "#shared/values/encode-value.ts";
import type { RefLike } from "#shared/values/types.ts";
import { oversize } from "../program/texts.ts";

/**
 * A call's argument as text, and the keys of the refs in it. Throws UnencodableValue, or SaltError `TooLarge` beyond
 * 64 MiB or 50,000 refs.
 */
export function encodeArgument(
  what: string,
  argument: unknown,
  isOwn: (ref: RefLike) => boolean,
): { readonly text: string; readonly refs: readonly CallKey[] } {
  const refs = new Set<CallKey>();
  const text = encodeValue(argument, {
    onRef(key, ref) {
      if (!isOwn(ref)) {
        throw new SaltError("InvalidInput", `Cannot ${what}: the ref '${key}' in its input is of another run.`, {
          next: "Await it in the run that made it, and pass the value.",
        });
      }
      refs.add(key);
    },
  });
  const bytes = oversize(text);
  if (bytes !== null) {
    throw new SaltError(
      "TooLarge",
      `Cannot ${what}: its input has ${bytes} bytes, at most ${limits.valueBytesMax} (valueBytesMax) are allowed.`,
      { next: "Pass it as a file." },
    );
  }
  if (refs.size > limits.refsPerCallMax) {
    throw new SaltError(
      "TooLarge",
      `Cannot ${what}: its input holds ${refs.size} refs, at most ${limits.refsPerCallMax} (refsPerCallMax) are allowed.`,
      { next: "Join them in groups by further tasks." },
    );
  }
  return { text, refs: [...refs] };
}
