import type { CallKey, Sha256 } from "../domain/ids.ts";

/** An exact decimal number, kept as it was written: `1.20` is not `1.2`. Arithmetic is the user's library's. */
export class Decimal {
  readonly text: string;
  /** Throws RangeError when `text` is not a finite decimal number of at most 4,300 characters. */
  constructor(text: string) {
    if (!isDecimalText(text)) throw new RangeError(`${JSON.stringify(text.slice(0, 40))} is not a decimal number`);
    this.text = text;
  }
  toString(): string {
    return this.text;
  }
}

/** A length of time. */
export class Duration {
  readonly ms: number;
  /** Milliseconds, which may be negative or have a fraction. Throws RangeError when not finite. */
  constructor(ms: number) {
    if (!Number.isFinite(ms)) throw new RangeError(`${ms} is not a duration in milliseconds`);
    this.ms = ms;
  }
}

/** Bytes in the blob store. Two with the same digest are the same file. */
export class FileValue {
  readonly sha256: Sha256;
  readonly bytes: number;
  /** What people call it; never used as a path. */
  readonly name: string | null;
  readonly mediaType: string | null;
  constructor(file: { sha256: Sha256; bytes: number; name?: string | null; mediaType?: string | null }) {
    this.sha256 = file.sha256;
    this.bytes = file.bytes;
    this.name = file.name ?? null;
    this.mediaType = file.mediaType ?? null;
  }
}

/** What marks an object as a ref, whichever SDK class it is of. */
export const refMark: unique symbol = Symbol.for("salt.ref");
export interface RefLike {
  readonly [refMark]: CallKey;
}

export const isRef = (value: unknown): value is RefLike =>
  typeof value === "object" && value !== null && refMark in value;

/** Python reads no longer number from text, so Salt sends none. */
export const numberCharsMax = 4_300;

export const isBigintText = (text: string): boolean => text.length <= numberCharsMax && /^(0|-?[1-9]\d*)$/.test(text);
export const isDecimalText = (text: string): boolean =>
  text.length <= numberCharsMax && /^-?\d+(\.\d+)?([eE][+-]?\d{1,9})?$/.test(text);

/** Levels of nesting in a value. */
export const depthMax = 500;

/** Keys that an encoder writes with one more `$`, so that `$salt` alone is Salt's. */
export const isEscapedKey = (key: string): boolean => key.charCodeAt(0) === 36 && /^\$+salt$/.test(key);
