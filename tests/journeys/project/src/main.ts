/** The project that the journeys execute: what goes well, what waits, and everything that can go wrong. */
export * from "./faults.ts";
export * from "./gather.ts";
export * from "./waits.ts";
export * from "./wave.ts";
