import { homedir } from "node:os";
import path from "node:path";

/** Where this user's builds keep what they share: `SALT_CACHE`, or the system's place for caches. */
export function cacheFolder(env: NodeJS.ProcessEnv): string {
  if (env.SALT_CACHE) return path.resolve(env.SALT_CACHE);
  if (process.platform === "darwin") return path.join(homedir(), "Library", "Caches", "salt");
  if (process.platform === "win32") return path.join(env.LOCALAPPDATA ?? homedir(), "salt", "cache");
  return path.join(env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "salt");
}
