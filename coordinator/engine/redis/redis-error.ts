import { SaltError } from "#shared/domain/errors.ts";

interface Meaning {
  readonly is: string;
  readonly next: string;
  /** A refusal that only somebody's action ends. Default: the same may succeed later. */
  readonly retryable?: false;
}

/** What the first word of an error reply means (https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors). */
const replies: Readonly<Record<string, Meaning>> = {
  OOM: { is: "it has no memory left", next: "Raise maxmemory, or let finished runs leave earlier (--keep-runs)." },
  READONLY: { is: "this server is a replica now", next: "Wait: another server takes over and is looked for." },
  LOADING: { is: "it is reading its data from disk", next: "Wait: it answers when it has read all." },
  BUSY: { is: "a script has kept it busy for long", next: "Look at what else uses this Redis (SLOWLOG GET)." },
  MASTERDOWN: { is: "its master is away", next: "Wait for the failover, or look at the master." },
  CLUSTERDOWN: { is: "the cluster lacks some of its nodes", next: "Look at CLUSTER INFO: each slot needs a master." },
  TRYAGAIN: { is: "the cluster is moving what was asked for", next: "Wait: the slots are being moved." },
  MOVED: { is: "the cluster is moving what was asked for", next: "Wait: the slots are being looked up." },
  ASK: { is: "the cluster is moving what was asked for", next: "Wait: the slots are being moved." },
  MISCONF: { is: "it cannot write to its disk", next: "Look at the disk of Redis and at its log." },
  NOREPLICAS: { is: "too few of its replicas are there", next: "Start replicas, or lower min-replicas-to-write." },
  NOAUTH: { is: "it wants a password", next: "Give it in the URL: redis://user:password@host.", retryable: false },
  WRONGPASS: { is: "it does not take the user and password", next: "Correct them in the URL.", retryable: false },
  NOPERM: {
    is: "its user may not do what Salt needs",
    next: "Give the user ~salt:* &salt:* +@all -@dangerous +info (ACL SETUSER).",
    retryable: false,
  },
};

/** Without memory left a script is refused before it begins. */
export const isFull = (error: unknown): boolean => error instanceof Error && error.message.startsWith("OOM ");

/**
 * Whatever came between us and an answer, as `Unavailable`. Of a commit nobody knows then whether it was applied. `next` is
 * what to do without a connection; by default it is dialled again.
 */
export function toSaltError(
  error: unknown,
  given: { attempted: string; where: string; cause: Error | null; next?: string },
): unknown {
  const { attempted, where, cause } = given;
  if (!(error instanceof Error) || error instanceof SaltError) return error;
  const meaning = replies[error.message.split(" ", 1)[0] ?? ""];
  if (meaning !== undefined) {
    const { is, next, retryable = true } = meaning;
    return new SaltError("Unavailable", `Cannot ${attempted}: ${where} answers that ${is}.`, {
      cause: error,
      next,
      retryable,
    });
  }
  if (error.name === "ReplyError") return error;
  if (error.message === "Command timed out") {
    return new SaltError("Unavailable", `Cannot ${attempted}: ${where} did not answer in time.`, {
      cause: error,
      next: "Wait: it is asked again. Look at Redis and at the network when it goes on.",
    });
  }
  const because = cause === null ? "" : ` (${cause.message})`;
  return new SaltError("Unavailable", `Cannot ${attempted}: there is no connection to ${where}${because}.`, {
    cause: error,
    next: given.next ?? "Wait: it is dialled again. Look at Redis and at the network when it goes on.",
  });
}
