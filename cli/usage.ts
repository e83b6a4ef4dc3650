import { SaltError } from "#shared/domain/errors.ts";
import { didYouMean } from "./nearest.ts";

/** A word on the command line that is none of the known ones. */
export function usageProblem(message: string, word: string, known: readonly string[]): SaltError {
  return new SaltError("BadRequest", `${message}${didYouMean(word, known)}`, {
    next: `use one of ${known.join(", ")}`,
  });
}
