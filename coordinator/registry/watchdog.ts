import { createContext, Script } from "node:vm";

/** One context for all calls: they are synchronous, and a context is dear to make. */
const context = createContext(Object.create(null));
const script = new Script("work()");

/**
 * Runs a function of somebody else's making (a compiled schema with its regular expressions) and stops it, wherever it
 * is, after `withinMs`. A regular expression that backtracks for ever is stopped too.
 */
export function runWithin<Answer>(withinMs: number, work: () => Answer): Answer | "stopped" {
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
