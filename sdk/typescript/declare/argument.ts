/**
 * The future output of a call. `await` it, or pass it on as (part of) another call's argument without awaiting: then its
 * value goes from agent to agent and the other task waits for it. Valid in the run that made it.
 */
export interface Ref<T> extends PromiseLike<T> {
  /** The call's key in the run, such as `score#3`. */
  readonly key: string;
  catch<Caught = never>(onRejected: (error: unknown) => Caught | PromiseLike<Caught>): Promise<T | Caught>;
  finally(onSettled: () => void): Promise<T>;
}

type Whole = string | number | boolean | bigint | symbol | null | undefined | Date | Uint8Array | Error;

/** A value of type T in which any part may be a ref to such a part. */
export type Argument<T> =
  | T
  | Ref<T>
  | (T extends Whole | ((...args: never[]) => unknown)
      ? never
      : T extends ReadonlyMap<infer K, infer V>
        ? ReadonlyMap<K, Argument<V>>
        : T extends ReadonlySet<infer V>
          ? ReadonlySet<Argument<V>>
          : T extends object
            ? { readonly [K in keyof T]: Argument<T[K]> }
            : never);

/** A call's parameters: an input that may be left out where its type allows undefined. */
export type CallParameters<In, Options> = unknown extends In
  ? [input?: unknown, options?: Options]
  : undefined extends In
    ? [input?: Argument<In>, options?: Options]
    : [input: Argument<In>, options?: Options];
