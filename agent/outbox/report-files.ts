import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { taskIdSchema } from "#shared/protocol/common.ts";
import { writeDurably } from "../data-folder.ts";

const storedUnitSchema = z.object({
  kind: z.enum(["report", "logs", "calls", "emit"]),
  text: z.string(),
  task: taskIdSchema,
  fence: z.int().min(1),
});
export type StoredUnit = z.infer<typeof storedUnitSchema>;

/** The outbox on disk: files of words that the coordinator has not accepted and no living program would say again. */
export interface ReportFiles {
  /** Durable when it resolves. The answer names the file. */
  store(units: readonly StoredUnit[]): Promise<string>;
  load(): Promise<{ file: string; units: StoredUnit[] }[]>;
  remove(file: string): Promise<void>;
}

export function createReportFiles(folder: string): ReportFiles {
  let next = 0;
  return {
    async store(units) {
      next += 1;
      const file = join(folder, `${String(next).padStart(9, "0")}.json`);
      await writeDurably(file, JSON.stringify(units));
      return file;
    },
    async load() {
      const found: { file: string; units: StoredUnit[] }[] = [];
      for (const name of (await readdir(folder)).sort()) {
        const file = join(folder, name);
        const units = /^\d{9}\.json$/.test(name) ? await readUnits(file) : null;
        if (units === null) {
          await rm(file, { force: true });
          continue;
        }
        next = Math.max(next, Number(name.slice(0, 9)));
        found.push({ file, units });
      }
      return found;
    },
    remove: (file) => rm(file, { force: true }),
  };
}

async function readUnits(file: string): Promise<StoredUnit[] | null> {
  try {
    return z.array(storedUnitSchema).safeParse(JSON.parse(await readFile(file, "utf8"))).data ?? null;
  } catch {
    return null;
  }
}
