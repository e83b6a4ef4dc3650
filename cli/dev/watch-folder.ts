import { watch } from "node:fs";

const quietMs = 120;
const ignored = /(^|[\\/])(node_modules|dist|\.salt|\.git)([\\/]|$)|(~|\.swp|\.partial|\.tmp|\.log)$/;

/** Calls `onSave` after changes, once they have been quiet for 120 ms, one call at a time. */
export function watchFolder(folder: string, onSave: () => Promise<void>): { close(): Promise<void> } {
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let again = false;
  const start = (): void => {
    timer = null;
    if (running) {
      again = true;
      return;
    }
    running = onSave().finally(() => {
      running = null;
      if (again) {
        again = false;
        start();
      }
    });
  };
  const watcher = watch(folder, { recursive: true }, (_, file) => {
    if (file !== null && ignored.test(file)) return;
    if (timer) clearTimeout(timer);
    timer = setTimeout(start, quietMs);
  });
  watcher.on("error", () => undefined);
  return {
    async close() {
      watcher.close();
      if (timer) clearTimeout(timer);
      again = false;
      await running;
    },
  };
}
