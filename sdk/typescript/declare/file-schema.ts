import { z } from "zod";
import { FileValue } from "#shared/values/types.ts";

/** The schema of a file, as `file()` makes it: `z.object({ report: fileSchema })`. */
export const fileSchema = z.instanceof(FileValue);
