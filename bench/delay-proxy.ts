/**
 * A line that is so long: what arrives leaves so many milliseconds later, on either way, in order, and however much it is.
 * `node delay-proxy.ts <port> <milliseconds one way>`, a process of its own; it says `{port}` to its parent.
 */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { serveParent } from "./child.ts";

const [targetPort = 0, delayMs = 0] = process.argv.slice(2).map(Number);

/** A timer fires up to a millisecond after it is due; half of that early is right on the average. */
const roundMs = 0.5;

function carry(from: Socket, to: Socket): void {
  const held: { readonly dueMs: number; readonly chunk: Buffer | null }[] = [];
  let isSet = false;
  const pass = () => {
    isSet = false;
    const nowMs = performance.now() + roundMs;
    let due = 0;
    while ((held[due]?.dueMs ?? Number.POSITIVE_INFINITY) <= nowMs) due += 1;
    const chunks = held.splice(0, due).map(({ chunk }) => chunk);
    const bytes = chunks.filter((chunk) => chunk !== null);
    if (bytes.length > 0) to.write(bytes.length === 1 ? (bytes[0] as Buffer) : Buffer.concat(bytes));
    if (chunks.includes(null)) to.end();
    set();
  };
  const set = () => {
    const [next] = held;
    if (next === undefined || isSet) return;
    isSet = true;
    setTimeout(pass, Math.max(1, Math.floor(next.dueMs - performance.now())));
  };
  const hold = (chunk: Buffer | null) => {
    held.push({ dueMs: performance.now() + delayMs, chunk });
    set();
  };
  from.on("data", hold);
  from.on("end", () => hold(null));
  from.on("error", () => to.destroy());
  from.on("close", () => from.errored && to.destroy());
}

const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const target = connect({ port: targetPort, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  carry(client, target);
  carry(target, client);
});
server.listen(0, "127.0.0.1", () => {
  serveParent(() => ({}), { port: (server.address() as AddressInfo).port });
});
