import { SaltError } from "#shared/domain/errors.ts";
import { type Platform, platformSchema } from "#shared/protocol/common.ts";

export function hostPlatform(): Platform {
  const parsed = platformSchema.safeParse(`${process.platform}-${process.arch}`);
  if (parsed.success) return parsed.data;
  throw new SaltError("BuildFailed", `Salt does not build on ${process.platform}-${process.arch}.`, {
    next: `use one of ${platformSchema.options.join(", ")}`,
  });
}

/** The file name of a program on a platform. */
export const programName = (platform: Platform): string => (platform.startsWith("win32") ? "main.exe" : "main");
