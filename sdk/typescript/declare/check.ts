/** What a check found. `pass` and `warn` let the attempt succeed; `fail` fails it with a ValidationError. */
export interface CheckFinding {
  readonly result: "pass" | "warn" | "fail";
  readonly message?: string;
  /** Structured particulars, kept with the settlement. JSON. */
  readonly details?: unknown;
}

/** True passes, false fails; a thrown error fails with its message. */
export type CheckFunction<Out, In> = (output: Out, input: In) => CheckAnswer | Promise<CheckAnswer>;
export type CheckAnswer = boolean | CheckFinding;

const finding =
  (result: CheckFinding["result"]) =>
  (message?: string, details?: unknown): CheckFinding => ({
    result,
    ...(message === undefined ? {} : { message }),
    ...(details === undefined ? {} : { details }),
  });

/** Answers of a check: `check.warn("only 3 rows", { rows: 3 })`. */
export const check = { pass: finding("pass"), warn: finding("warn"), fail: finding("fail") };
