import { join } from "node:path";
import { z } from "zod";
import { taskIdSchema } from "#shared/protocol/common.ts";
import type { Disk } from "../ports.ts";

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

export function createReportFiles(disk: Disk, folder: string): ReportFiles {
  let next = 0;
  return {
    async store(units) {
      next += 1;
      const file = join(folder, `${String(next).padStart(9, "0")}.json`);
      await disk.writeDurably(file, JSON.stringify(units));
      return file;
    },
    async load() {
      const found: { file: string; units: StoredUnit[] }[] = [];
      for (const name of (await disk.list(folder)).sort()) {
        const file = join(folder, name);
        const units = /^\d{9}\.json$/.test(name) ? await readUnits(disk, file) : null;
        if (units === null) {
          await disk.remove(file);
          continue;
        }
        next = Math.max(next, Number(name.slice(0, 9)));
        found.push({ file, units });
      }
      return found;
    },
    remove: (file) => disk.remove(file),
  };
}

async function readUnits(disk: Disk, file: string): Promise<StoredUnit[] | null> {
  try {
    return z.array(storedUnitSchema).safeParse(JSON.parse((await disk.read(file)) ?? "null")).data ?? null;
  } catch {
    return null;
  }
}
