import { z } from "zod";
import { SaltError } from "#shared/domain/errors.ts";

/** A place in a list that is ordered by (score, member). */
export interface Place {
  readonly score: number;
  readonly member: string;
}

const placeSchema = z.tuple([z.number(), z.string().max(500)]);
const positionsSchema = z.array(z.int().min(0)).max(1_024);

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function decode<Schema extends z.ZodType>(cursor: string, schema: Schema): z.output<Schema> {
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, "base64url").toString()));
  } catch (cause) {
    throw new SaltError("BadRequest", "Cannot read the page: its cursor is not one that this list gave.", {
      cause,
      next: "Ask for the first page, without a cursor.",
    });
  }
}

/** Cursors are opaque to callers: base64url of the place after which the next page begins. */
export const cursorOfPlace = (place: Place | null): string | null =>
  place === null ? null : encode([place.score, place.member]);

export function placeOfCursor(cursor: string | undefined): { readonly after?: Place } {
  if (cursor === undefined) return {};
  const [score, member] = decode(cursor, placeSchema);
  return { after: { score, member } };
}

export const cursorOfPositions = (positions: readonly number[] | null): string | null =>
  positions === null ? null : encode(positions);

export const positionsOfCursor = (cursor: string | undefined): readonly number[] =>
  cursor === undefined ? [] : decode(cursor, positionsSchema);

/** The page of a list by place. */
export const pageOf = <Row>(list: { readonly rows: readonly Row[]; readonly next: Place | null }) => ({
  rows: [...list.rows],
  cursor: cursorOfPlace(list.next),
});
