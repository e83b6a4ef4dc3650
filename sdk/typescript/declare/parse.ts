import { z } from "zod";
import type { CallKey } from "#shared/domain/ids.ts";
import type { ProgramValue, Work } from "#shared/protocol/task.ts";
import { decodeValue } from "#shared/values/decode-value.ts";
import { InvalidInput, ValidationError } from "../failures/errors.ts";
import { type Texts, textOf } from "../program/texts.ts";

type Parsed = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly complaints: Complaint[] };
interface Complaint {
  readonly path: string;
  readonly message: string;
  readonly code: string;
}

const complaintsMax = 50;

const complaintsOf = (error: z.ZodError): Complaint[] =>
  error.issues.slice(0, complaintsMax).map(({ path, message, code }) => ({
    path: path.reduce<string>(
      (text, step) => (typeof step === "number" ? `${text}[${step}]` : `${text}.${String(step)}`),
      "$",
    ),
    message,
    code,
  }));

/** Parses at once where the schema allows it, so that the common case costs no turn. */
export function parse(schema: z.ZodType, value: unknown): Parsed | Promise<Parsed> {
  const answer = (result: z.ZodSafeParseResult<unknown>): Parsed =>
    result.success ? { ok: true, value: result.data } : { ok: false, complaints: complaintsOf(result.error) };
  try {
    return answer(schema.safeParse(value));
  } catch (error) {
    if (error instanceof z.core.$ZodAsyncError) return schema.safeParseAsync(value).then(answer);
    throw error;
  }
}

/** The first complaints, in a sentence. */
export const complaintsText = (complaints: readonly Complaint[]): string =>
  complaints
    .slice(0, 3)
    .map(({ path, message }) => `${path}: ${message}`)
    .join("; ");

/** The decoded and validated input of a piece of work. Throws InvalidInput. */
export async function inputOf(
  work: Pick<Work, "name" | "input" | "refs" | "manyRefs">,
  schema: z.ZodType | undefined,
  texts: Texts,
): Promise<unknown> {
  const decoded = decodeInput(work, texts);
  if (schema === undefined) return decoded ?? undefined;
  const result = parse(schema, decoded);
  const parsed = result instanceof Promise ? await result : result;
  if (parsed.ok) return parsed.value;
  if (decoded === null) {
    // Null on the wire stands for undefined as well.
    const again = await parse(schema, undefined);
    if (again.ok) return again.value;
  }
  throw new InvalidInput(
    `The input of '${work.name}' is not valid: ${complaintsText(parsed.complaints)}`,
    parsed.complaints,
  );
}

function decodeInput(work: Pick<Work, "name" | "input" | "refs" | "manyRefs">, texts: Texts): unknown {
  try {
    const refs = work.manyRefs ? (JSON.parse(texts.read(work.manyRefs.path)) as Work["refs"]) : work.refs;
    return decodeValue(textOf(texts, work.input), { ref: (key) => refValue(refs, key, texts) });
  } catch (error) {
    throw new InvalidInput(`The input of '${work.name}' is not valid: ${(error as Error).message}`, undefined);
  }
}

function refValue(refs: Readonly<Record<string, ProgramValue>> | undefined, key: CallKey, texts: Texts): unknown {
  const value = refs !== undefined && Object.hasOwn(refs, key) ? refs[key] : undefined;
  if (value === undefined) throw new Error(`the output of '${key}' did not come with it`);
  return decodeValue(textOf(texts, value));
}

/** The validated output. Throws ValidationError. */
export async function outputOf(name: string, schema: z.ZodType | undefined, value: unknown): Promise<unknown> {
  if (schema === undefined) return value;
  const result = parse(schema, value);
  const parsed = result instanceof Promise ? await result : result;
  if (parsed.ok) return parsed.value;
  throw new ValidationError(
    `The output of '${name}' is not valid: ${complaintsText(parsed.complaints)}`,
    parsed.complaints,
  );
}
