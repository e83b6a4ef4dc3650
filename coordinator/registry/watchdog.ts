import { createContext, Script } from "node:vm";

/** One context for all calls: they are synchronous, and a context is dear to make. */
const context = createContext(Object.create(null));
const script = new Script("work()");

/** A process that is given no time at all is not waited for without end. */
const triesMax = 10;

/**
 * Runs a function of somebody else's making (a compiled schema with its regular expressions) and stops it, wherever it
 * is, when it has computed for `withinMs`. A regular expression that backtracks for ever is stopped too. What was
 * stopped on a busy machine before it had that time, as the watch goes by the wall's clock, is run again.
 */
export function runWithin<Answer>(withinMs: number, work: () => Answer): Answer | "stopped" {
  const startMs = computedMs();
  for (let tries = 1; ; tries++) {
    const answer = runOnce(withinMs, work);
    if (answer !== "stopped" || tries === triesMax || computedMs() - startMs >= withinMs / 2) return answer;
  }
}

/** What this thread has computed so far. */
function computedMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

function runOnce<Answer>(withinMs: number, work: () => Answer): Answer | "stopped" {
  context.work = work;
  try {
    return script.runInContext(context, { timeout: withinMs }) as Answer;
  } catch (error) {
    // The error is of the context, not of this realm, so it is known by its code alone.
    if (typeof error === "object" && error !== null && "code" in error && error.code === timedOut) return "stopped";
    throw error;
  } finally {
    context.work = undefined;
  }
}

const timedOut = "ERR_SCRIPT_EXECUTION_TIMEOUT";
