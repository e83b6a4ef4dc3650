import { z } from "zod";
import { nameSchema, platformSchema } from "./common.ts";

const triggerHead = {
  name: nameSchema,
  workflow: nameSchema,
  /** The run's input, any JSON; a webhook's body takes its place. */
  input: z.unknown().exactOptional(),
};

/** As in the manifest, save that a time zone may be left out. */
const projectTriggerSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    ...triggerHead,
    kind: z.literal("cron"),
    cron: z.string().max(200),
    timezone: z.string().max(100).default("UTC"),
  }),
  z.strictObject({ ...triggerHead, kind: z.literal("webhook") }),
]);

/** `salt.yaml`, the file that makes a folder a project. Unknown keys are refused, so that a typo is never ignored. */
export const projectSchema = z.strictObject({
  name: nameSchema,
  /** Default: `python` where there is a pyproject.toml, else `typescript`. */
  language: z.enum(["typescript", "python"]).exactOptional(),
  /** Relative to the project's folder, and within it. Default: `cli/build/read-project.ts` has those of each language. */
  entry: z.string().min(1).max(1_000).exactOptional(),
  /** Platforms to build for. Default: the one of the machine that builds. */
  platforms: z.array(platformSchema).min(1).exactOptional(),
  triggers: z.array(projectTriggerSchema).max(100).default([]),
});
export type ProjectFile = z.infer<typeof projectSchema>;

/** The keys that salt.yaml knows at its top and in a trigger, for "did you mean". */
export const projectKeys: readonly string[] = Object.keys(projectSchema.shape);
export const triggerKeys: readonly string[] = ["name", "workflow", "input", "kind", "cron", "timezone"];
