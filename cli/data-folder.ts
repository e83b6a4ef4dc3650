import { homedir } from "node:os";
import path from "node:path";

/** Where a server of this user keeps its state unless told otherwise. */
export function dataFolder(env: NodeJS.ProcessEnv, name: "coordinator" | "agent"): string {
  const base =
    process.platform === "win32"
      ? (env.LOCALAPPDATA ?? homedir())
      : env.XDG_DATA_HOME || path.join(homedir(), ".local", "share");
  return path.join(base, "salt", name);
}
