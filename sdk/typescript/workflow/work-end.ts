import type { ProgramFrame } from "#shared/protocol/task.ts";

type WithoutAddress<F> = F extends unknown ? Omit<F, "argsId" | "offsets"> : never;

/** How a piece of work ended: the last frame about it, which the program completes and keeps until it is accepted. */
export type WorkEnd = WithoutAddress<Extract<ProgramFrame, { t: "done" | "fail" | "restart" }>>;
