import type { ProgressView } from "#shared/protocol/api.ts";
import { cleanLine } from "./clean-text.ts";

/** `40 %  resizing`: whichever of the two a task has said. */
export function progressText({ fraction, message }: Pick<ProgressView, "fraction" | "message">): string {
  const percent = fraction === null ? "" : `${Math.round(fraction * 100)} %`;
  return [percent, cleanLine(message ?? "")].filter(Boolean).join("  ");
}
