import type { Entry } from "./common.ts";

const identityCharsMax = 300;

/**
 * Tells a journal entry from any other that may come to stand at its position: an engine that failed over may have lost
 * its newest entries, and others are written in their place (C16). Where an entry is the same, all before it are.
 */
export const entryMark = (entry: Entry): string =>
  `${entry.p} ${entry.at} ${entry.e} ${identityOf(entry).slice(0, identityCharsMax)}`;

function identityOf(entry: Entry): string {
  switch (entry.e) {
    case "called":
      return `${entry.digest} ${entry.key}`;
    case "settled":
      return `${entry.outcome} ${entry.key}`;
    case "signal":
      return entry.id;
    case "cancel":
      return entry.reason;
    default:
      return entry.kind;
  }
}
