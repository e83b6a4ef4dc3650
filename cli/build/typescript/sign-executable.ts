import { SaltError } from "#shared/domain/errors.ts";
import type { Platform } from "#shared/protocol/common.ts";
import { runProcess } from "../../run-process.ts";

const signTimeoutMs = 120_000;

/** macOS executes nothing unsigned: signs ad hoc where this is a Mac, and elsewhere says what is left to do. */
export async function signExecutable(
  deps: { readonly say: (line: string) => void },
  platform: Platform,
  file: string,
): Promise<void> {
  if (!platform.startsWith("darwin")) return;
  if (process.platform !== "darwin") {
    deps.say(`The executable for ${platform} is not signed: on a Mac, codesign --sign - --force makes it executable`);
    return;
  }
  const end = await runProcess(["codesign", "--sign", "-", "--force", file], { cwd: ".", timeoutMs: signTimeoutMs });
  if (end.status !== 0)
    throw new SaltError("BuildFailed", `Cannot sign the executable for ${platform}: ${end.stderr.trim()}`);
}
