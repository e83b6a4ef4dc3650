import { limits } from "#shared/domain/limits.ts";
import type { CheckResult } from "#shared/protocol/common.ts";
import type { CheckAnswer } from "../declare/check.ts";
import type { TaskDefinition } from "../declare/registry.ts";

/** Runs a task type's checks one after another over its output. A check that throws has failed. */
export async function runChecks(definition: TaskDefinition, output: unknown, input: unknown): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const { name, check } of definition.checks) {
    try {
      results.push(resultOf(name, await check(output, input)));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      results.push({ name, result: "fail", message: message.toWellFormed().slice(0, limits.messageCharsMax) });
    }
  }
  return results;
}

function resultOf(name: string, answer: CheckAnswer): CheckResult {
  if (answer === true) return { name, result: "pass" };
  if (answer === false) return { name, result: "fail" };
  if (answer?.result !== "pass" && answer?.result !== "warn" && answer?.result !== "fail") {
    return { name, result: "fail", message: "the check answered neither true, false nor a finding" };
  }
  const { result, message, details } = answer;
  return {
    name,
    result,
    ...(message === undefined ? {} : { message: message.toWellFormed().slice(0, limits.messageCharsMax) }),
    ...(details === undefined ? {} : { details: JSON.parse(JSON.stringify(details)) }),
  };
}
