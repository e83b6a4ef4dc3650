import { limits } from "#shared/domain/limits.ts";

/** Short tasks are taken ahead to fill this long (C19). */
const fillMs = 10;
/** A task that has run so long is a long one: what was taken ahead behind it goes back. */
export const longRunMs = 100;
const weight = 0.2;
/** So many attempts' names fit into one message, as hello and renewals need. */
const leasesMax = 2_000;

/** The moving mean of run times, with a new one. */
export const nextMeanMs = (meanMs: number | null, ranMs: number): number =>
  meanMs === null ? ranMs : meanMs + weight * (ranMs - meanMs);

/** How many tasks of this length to have at hand: what fills 10 ms, 1 to 256; 1 while nothing is known. */
export function prefetchFor(meanMs: number | null): number {
  if (meanMs === null) return 1;
  return Math.max(1, Math.min(limits.prefetchMax, Math.floor(fillMs / Math.max(meanMs, 0.001))));
}

/** Leases of tasks to hold in all: one a slot, and some ahead for each slot that is not at a long task. */
export function taskCredit(options: { slots: number; long: number; meanMs: number | null }): number {
  const short = Math.max(0, options.slots - options.long);
  return Math.min(leasesMax, options.slots + short * prefetchFor(options.meanMs));
}
