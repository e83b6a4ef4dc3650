import { NonRetryableError, RemoteError, shielded, TaskFailed, task, workflow, z } from "@salt/sdk";

const Order = z.object({
  id: z.string(),
  card: z.string(),
  lines: z.array(z.object({ article: z.string(), count: z.number().int().positive(), price: z.number() })).min(1),
});

/** Errors with names: what throws one says what happened, and whoever calls it can tell one from another. */
export class CardDeclined extends NonRetryableError {
  override name = "CardDeclined";
}
export class OutOfStock extends NonRetryableError {
  override name = "OutOfStock";
  readonly details: { readonly article: string; readonly left: number };
  constructor(article: string, left: number) {
    super(`${left} of '${article}' are left`);
    this.details = { article, left };
  }
}

/** The error that a call failed with, as the program threw it that failed: through children and their children. */
function rootCause(error: unknown): RemoteError | null {
  let found = error instanceof TaskFailed ? error.cause : null;
  while (found instanceof RemoteError && found.cause instanceof RemoteError) found = found.cause;
  return found instanceof RemoteError ? found : null;
}

/** Stands for a bank that is sometimes busy: its first two answers are. Then it says what it thinks of the card. */
export const charge = task(
  {
    name: "charge",
    input: z.object({ reference: z.string(), card: z.string(), amount: z.number() }),
    output: z.object({ charge: z.string(), attempts: z.number() }),
    retry: { attempts: 4, backoffMs: 50, factor: 2 },
  },
  async ({ reference, card, amount }, { attempt, log }) => {
    log(`attempt ${attempt}: ${amount} from ${card}`);
    if (attempt <= 2) throw new Error("the bank is busy");
    if (card.endsWith("0000")) throw new CardDeclined(`card ${card} was declined`);
    return { charge: `charge-${reference}`, attempts: attempt };
  },
);

export const refund = task(
  { name: "refund", input: z.object({ charge: z.string() }), output: z.object({ refund: z.string() }) },
  async ({ charge }) => ({ refund: charge.replace(/^charge/, "refund") }),
);

const stock: Readonly<Record<string, number>> = { lamp: 12, chair: 4, piano: 0 };

export const pack = task(
  { name: "pack", input: Order, output: z.object({ parcel: z.string() }), retry: { attempts: 3, backoffMs: 50 } },
  async ({ id, lines }) => {
    for (const { article, count } of lines) {
      const left = stock[article] ?? 0;
      if (left < count) throw new OutOfStock(article, left);
    }
    return { parcel: `parcel-${id}` };
  },
);

/** A child workflow: a run of its own, with its own journal, that others may start as well. */
export const takePayment = workflow(
  {
    name: "takePayment",
    input: Order,
    output: z.object({ charge: z.string(), amount: z.number(), attempts: z.number() }),
  },
  async ({ id, card, lines }) => {
    const amount = lines.reduce((total, line) => total + line.count * line.price, 0);
    return { ...(await charge({ reference: id, card, amount })), amount };
  },
);

export const fulfilOrder = workflow(
  {
    name: "fulfilOrder",
    description: "Charges and packs an order, or leaves things as they were",
    input: Order,
    output: z.discriminatedUnion("status", [
      z.object({ status: z.literal("sent"), parcel: z.string(), paid: z.number(), attempts: z.number() }),
      z.object({ status: z.literal("declined"), reason: z.string() }),
      z.object({ status: z.literal("refunded"), reason: z.string(), refund: z.string() }),
    ]),
  },
  async (order) => {
    let payment: { charge: string; amount: number; attempts: number };
    try {
      payment = await takePayment(order);
    } catch (error) {
      const cause = rootCause(error);
      if (cause?.name !== "CardDeclined") throw error;
      return { status: "declined", reason: cause.message };
    }
    try {
      const { parcel } = await pack(order);
      return { status: "sent", parcel, paid: payment.amount, attempts: payment.attempts };
    } catch (error) {
      // Compensation. Shielded, so that the money goes back also when the run is being cancelled.
      const { refund: made } = await shielded(async () => await refund({ charge: payment.charge }));
      const cause = rootCause(error);
      if (cause?.name !== "OutOfStock") throw error;
      return { status: "refunded", reason: cause.message, refund: made };
    }
  },
);
