import { z } from "zod";
import { pageOf } from "./api.ts";

/** A limit under which tasks hold slots, or wait for one. Others are not listed: a limit is there while it is used. */
export const limitViewSchema = z
  .object({
    project: z.string(),
    name: z.string(),
    /** What the task that was last heard of asked for. */
    max: z.int(),
    /** Tasks that are ready or running, or wait to be tried again. */
    held: z.int(),
    /** Tasks that wait for a slot. At most 10,000 are counted. */
    waiting: z.int(),
  })
  .meta({ id: "Limit" });
export type LimitView = z.infer<typeof limitViewSchema>;
export const limitsPageSchema = pageOf(limitViewSchema);
