import type { CallKey } from "#shared/domain/ids.ts";
import { refMark } from "#shared/values/types.ts";
import type { Ref } from "../declare/argument.ts";
import type { WorkflowCall } from "./workflow-call.ts";
import type { WorkflowExecution } from "./workflow-execution.ts";

/** A call's future output. No promise is made before somebody awaits it, so a failure that nobody awaits is silent. */
export class CallRef<T> implements Ref<T> {
  readonly [refMark]: CallKey;
  readonly execution: WorkflowExecution;
  readonly #call: WorkflowCall;

  constructor(execution: WorkflowExecution, call: WorkflowCall) {
    this[refMark] = call.key;
    this.execution = execution;
    this.#call = call;
  }

  get key(): string {
    return this[refMark];
  }

  // biome-ignore lint/suspicious/noThenProperty: a ref is awaitable
  then<Fulfilled = T, Rejected = never>(
    onFulfilled?: ((value: T) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return (this.execution.want(this.#call) as Promise<T>).then(onFulfilled, onRejected);
  }

  catch<Caught = never>(onRejected: (error: unknown) => Caught | PromiseLike<Caught>): Promise<T | Caught> {
    return this.then(undefined, onRejected);
  }

  finally(onSettled: () => void): Promise<T> {
    return (this.execution.want(this.#call) as Promise<T>).finally(onSettled);
  }
}
