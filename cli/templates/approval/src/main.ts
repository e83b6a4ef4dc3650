import { sleep, task, waitForSignal, workflow, z } from "@salt/sdk";

const Order = z.object({ id: z.string(), amount: z.number().positive() });
const Decision = z.object({ approved: z.boolean(), by: z.string() });

export const notifyApprover = task({ name: "notifyApprover", input: Order }, async (order, { log }) => {
  log(`order ${order.id} over ${order.amount} waits for approval`);
});

export const pay = task(
  { name: "pay", input: Order, output: z.object({ receipt: z.string() }), retry: { attempts: 5 } },
  async (order) => ({ receipt: `receipt-${order.id}` }),
);

/** Waits for a person for as long as it takes. Meanwhile it is a row in a table, and no process. */
export const approval = workflow(
  { name: "approval", input: Order, output: z.object({ status: z.string(), receipt: z.string().optional() }) },
  async (order) => {
    if (order.amount > 100) {
      await notifyApprover(order);
      const decision = Decision.parse(await waitForSignal("decision"));
      if (!decision.approved) return { status: `refused by ${decision.by}` };
    }
    await sleep(1_000);
    const { receipt } = await pay(order);
    return { status: "paid", receipt };
  },
);
