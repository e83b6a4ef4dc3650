import { z } from "zod";
import { pageOf } from "./api.ts";
import { runIdSchema } from "./common.ts";

export const triggerViewSchema = z
  .object({
    project: z.string(),
    name: z.string(),
    kind: z.enum(["cron", "webhook"]),
    workflow: z.string(),
    cron: z.string().exactOptional(),
    timezone: z.string().exactOptional(),
    url: z.string().exactOptional(),
    nextAtMs: z.number().nullable(),
    lastFiredAtMs: z.number().nullable(),
    lastRun: runIdSchema.nullable(),
    /** Why the last occasion opened no run. */
    lastProblem: z.string().nullable(),
  })
  .meta({ id: "Trigger" });
export type TriggerView = z.infer<typeof triggerViewSchema>;
export const triggersPageSchema = pageOf(triggerViewSchema);
export const fireTriggerSchema = z.strictObject({ input: z.unknown().exactOptional() });
/** The older secrets of the webhook hold for another 24 h. */
export const rotatedSecretSchema = z.object({ secret: z.string(), olderHoldUntilMs: z.number() });
