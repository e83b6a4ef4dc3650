import { SaltError } from "#shared/domain/errors.ts";
import { isExecutable } from "../../installation.ts";

/** Throws where this `salt` is a single executable: the compiler, the bundler and the SDK for TypeScript come with npm. */
export function requireNpm(attempted: string): void {
  if (!isExecutable) return;
  throw new SaltError(
    "BuildFailed",
    `Cannot ${attempted}: this salt came without npm, and so without the tools for TypeScript.`,
    {
      next: "take the salt of a clone (npm ci && npm link), which has them; this one makes and builds Python projects (salt init -t python)",
    },
  );
}
