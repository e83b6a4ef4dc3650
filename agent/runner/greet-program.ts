import type { Connection } from "../connection/connection.ts";
import { type Attempt, isOver, moveAttempt } from "../leases/attempt.ts";
import type { Program } from "./program.ts";
import type { Hello } from "./read-frame.ts";

/**
 * Brings a program's idea of its works and the agent's together, on a new connection (C18): works that both know go on,
 * ones that only the program knows end. Answers those that the program never had, as their `work` was lost on the way.
 */
export function greetProgram(deps: { connection: Connection }, program: Program, hello: Hello): Attempt[] {
  const working = new Map(hello.working.map((work) => [work.argsId, work]));
  const unheard: Attempt[] = [];
  let isMuddled = false;
  for (const attempt of [...program.works.values()]) {
    const work = working.get(attempt.argsId);
    if (work !== undefined) {
      resumeWork(deps, program, attempt, work);
      isMuddled ||= unheard.length > 0;
    } else if (!isOver(attempt)) unheard.push(attempt);
  }
  for (const argsId of working.keys()) {
    if (program.works.has(argsId)) continue;
    // Workflows can be forgotten singly; a task that nobody knows must not run on beside others.
    if (program.kind === "workflow") program.tell(JSON.stringify({ t: "parked", argsId }));
    else program.kill({ culprit: null, failure: null });
  }
  for (const attempt of unheard) program.lose(attempt);
  if (program.adopted && program.kind === "task") skipLeft(program, isMuddled);
  return unheard;
}

/**
 * C19: the last notes of an earlier life may be lost, as where the disk was full, and with them whose output is whose. What
 * a program printed that holds nothing is nobody's; one that has ended what came before the work that it holds is ended.
 */
function skipLeft(program: Program, isMuddled: boolean): void {
  const [first] = program.line;
  if (first !== undefined && !isMuddled) return;
  program.parts?.logs.skip();
  if (first === undefined) return;
  if (first.phase === "given") moveAttempt(first, "running");
  program.kill({ culprit: null, failure: null });
}

function resumeWork(
  deps: { connection: Connection },
  program: Program,
  attempt: Attempt,
  work: Hello["working"][number],
): void {
  // What the program keeps it says again.
  const saysAgain = (kind: string) => kind === "calls" || kind === "emit";
  deps.connection.drop((unit) => unit.attempt === attempt.key && saysAgain(unit.kind));
  attempt.callsOpen.length = 0;
  attempt.unaccepted = 0;
  attempt.callsAccepted = work.calls ?? attempt.callsAccepted;
  if (attempt.given === 0) attempt.given = work.given;
  program.tell(JSON.stringify({ t: "resume", argsId: attempt.argsId }));
}
