import { now, TimedOut, task, waitForSignal, workflow, z } from "@salt/sdk";

const Expense = z.object({
  id: z.string(),
  by: z.string(),
  amount: z.number().positive(),
  purpose: z.string(),
});
type Expense = z.infer<typeof Expense>;

/** What whoever decides sends as the signal `decision`. */
const Decision = z.discriminatedUnion("approved", [
  z.object({ approved: z.literal(true), by: z.string() }),
  z.object({ approved: z.literal(false), by: z.string(), reason: z.string() }),
]);
type Decision = z.infer<typeof Decision>;

/** Stands for a message to people; here it is a line in the task's log. */
export const tell = task(
  { name: "tell", input: z.object({ to: z.string(), text: z.string() }), retry: { attempts: 5 } },
  async ({ to, text }, { log }) => log(`to ${to}: ${text}`),
);

/** The expense's id keeps a repeated attempt from paying twice. */
export const pay = task(
  { name: "pay", input: Expense, output: z.object({ payment: z.string() }), retry: { attempts: 5 } },
  async ({ id }) => ({ payment: `payment-${id}` }),
);

/**
 * Waits until somebody decides. Between two reminders the run is parked: a few rows at the coordinator, and no process,
 * be it for a minute or a year.
 */
async function decisionOn(expense: Expense, remindEveryMs: number): Promise<{ decision: Decision; reminders: number }> {
  for (let reminders = 0; ; reminders++) {
    try {
      const decision = await waitForSignal("decision", { timeoutMs: remindEveryMs, schema: Decision });
      return { decision, reminders };
    } catch (error) {
      if (!(error instanceof TimedOut)) throw error;
      await tell({ to: "approvers", text: `reminder ${reminders + 1}: expense ${expense.id} still waits` });
    }
  }
}

export const approveExpense = workflow(
  {
    name: "approveExpense",
    description: "Pays an expense once somebody has approved it",
    input: Expense.extend({
      remindEveryMs: z
        .number()
        .int()
        .min(1)
        .default(24 * 3600_000),
    }),
    output: z.object({
      status: z.enum(["paid", "rejected"]),
      decidedBy: z.string(),
      waitedMs: z.number(),
      reminders: z.number(),
      payment: z.string().optional(),
    }),
  },
  async ({ remindEveryMs, ...expense }) => {
    // now() is the time of what the run was last told, so it is the same on every replay.
    const askedAtMs = now().getTime();
    await tell({ to: "approvers", text: `${expense.by} asks for ${expense.amount} for ${expense.purpose}` });
    const { decision, reminders } = await decisionOn(expense, remindEveryMs);
    const answer = { decidedBy: decision.by, waitedMs: now().getTime() - askedAtMs, reminders };
    if (!decision.approved) {
      await tell({ to: expense.by, text: `rejected by ${decision.by}: ${decision.reason}` });
      return { status: "rejected", ...answer };
    }
    const { payment } = await pay(expense);
    await tell({ to: expense.by, text: `approved by ${decision.by} and paid: ${payment}` });
    return { status: "paid", ...answer, payment };
  },
);
