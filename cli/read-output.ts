import { SaltError } from "#shared/domain/errors.ts";
import type { RunView } from "#shared/protocol/api.ts";
import { type Client, readText } from "./client.ts";
import { getFromStore } from "./store-requests.ts";

/** The JSON text of a run's output: a large one straight from the blob store where that can be, else by the coordinator. */
export async function readOutput(client: Client, run: RunView): Promise<string> {
  const { output } = run;
  const text = output !== null && "blob" in output ? await readStraight(client, output) : null;
  return text ?? (await readText(await client.open("getOutput", { params: { run: run.id } })));
}

type BlobValue = Extract<NonNullable<RunView["output"]>, { blob: unknown }>;

async function readStraight(client: Client, { blob, bytes }: BlobValue): Promise<string | null> {
  try {
    const question = { params: { sha256: blob }, query: { direct: "true" }, redirects: true } as const;
    const answer = await client.open("getBlob", question);
    const { location } = answer.headers;
    if (answer.statusCode !== 307 || location === undefined) return await readText(answer);
    answer.resume();
    return await getFromStore(location, { sha256: blob, bytes }, { coordinatorUrl: client.url });
  } catch (error) {
    // The coordinator then says whether anything is wrong.
    if (error instanceof SaltError) return null;
    throw error;
  }
}
