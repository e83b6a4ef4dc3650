/** Does no-op jobs. `node worker.ts <port of Redis> <queue> <concurrency>`. */
import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { serveParent } from "../child.ts";

const [port = "", name = "", concurrency = ""] = process.argv.slice(2);
const connection = new Redis({ port: Number(port), host: "127.0.0.1", maxRetriesPerRequest: null });
const worker = new Worker<number, number>(name, async ({ data }) => data, {
  connection,
  concurrency: Number(concurrency),
});
worker.on("error", (error) => process.stderr.write(`bullmq worker: ${error.message}\n`));
await worker.waitUntilReady();
serveParent(() => ({}));
