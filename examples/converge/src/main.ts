import { check, RemoteError, TaskFailed, task, workflow, z } from "@salt/sdk";

/** Anscombe's first data set (The American Statistician 27, 1973): its line is y = 3.00 + 0.50 x. */
const points: readonly (readonly [x: number, y: number])[] = [
  [10, 8.04],
  [8, 6.95],
  [13, 7.58],
  [9, 8.81],
  [11, 8.33],
  [14, 9.96],
  [6, 7.24],
  [4, 4.26],
  [12, 10.84],
  [7, 4.82],
  [5, 5.68],
];

const Line = z.object({ intercept: z.number(), slope: z.number() });
type Line = z.infer<typeof Line>;

/** Slope of the mean squared error in both directions. */
function gradient({ intercept, slope }: Line): Line {
  let [down, across] = [0, 0];
  for (const [x, y] of points) {
    const error = intercept + slope * x - y;
    down += (2 * error) / points.length;
    across += (2 * error * x) / points.length;
  }
  return { intercept: down, slope: across };
}

const steepness = (line: Line): number => Math.hypot(...Object.values(gradient(line)));

/** One round of gradient descent, from wherever the last one ended. */
export const descend = task(
  {
    name: "descend",
    input: z.object({ from: Line, steps: z.number().int().min(1), rate: z.number().positive() }),
    output: Line,
  },
  async ({ from, steps, rate }, { progress }) => {
    let line = from;
    for (let step = 1; step <= steps; step++) {
      const slope = gradient(line);
      line = { intercept: line.intercept - rate * slope.intercept, slope: line.slope - rate * slope.slope };
      if (step % 250 === 0) progress(step / steps, `gradient ${steepness(line).toExponential(1)}`);
    }
    return line;
  },
);

/** The gate. Its output is what it was given; what counts is whether the check lets it through. */
export const accept = task(
  {
    name: "accept",
    input: z.object({ line: Line, tolerance: z.number().positive() }),
    output: Line,
    checks: {
      converged: (line, { tolerance }) => {
        const found = steepness(line);
        return found <= tolerance
          ? check.pass(`gradient ${found.toExponential(1)}`)
          : check.fail(`gradient ${found.toExponential(1)} is above ${tolerance}`, { found });
      },
    },
  },
  async ({ line }, { log }) => {
    log(`y = ${line.intercept.toFixed(4)} + ${line.slope.toFixed(4)} x`);
    return line;
  },
);

const failedItsCheck = (error: unknown): boolean =>
  error instanceof TaskFailed && error.cause instanceof RemoteError && error.cause.name === "ValidationError";

/** Nobody knows beforehand how many rounds there will be: the loop ends when `converged` passes. */
export const fitLine = workflow(
  {
    name: "fitLine",
    description: "Fits a line to Anscombe's data by gradient descent, until the gradient is flat",
    input: z.object({
      tolerance: z.number().positive().default(1e-6),
      steps: z.number().int().min(1).default(1_000),
      roundsMax: z.number().int().min(1).default(50),
    }),
    output: Line.extend({ rounds: z.number() }),
  },
  async ({ tolerance, steps, roundsMax }) => {
    let line: Line = { intercept: 0, slope: 0 };
    for (let round = 1; round <= roundsMax; round++) {
      line = await descend({ from: line, steps, rate: 0.01 });
      try {
        return { ...(await accept({ line, tolerance })), rounds: round };
      } catch (error) {
        if (!failedItsCheck(error)) throw error;
      }
    }
    throw new Error(`The line did not converge within ${roundsMax} rounds; it got to ${JSON.stringify(line)}.`);
  },
);
