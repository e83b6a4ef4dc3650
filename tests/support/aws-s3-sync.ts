/**
 * `aws s3 sync <from> <to> --endpoint-url <url>`, between a folder and a bucket, for tests of pages that use it: everything
 * is copied, nothing is deleted.
 */
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { "endpoint-url": { type: "string" } },
});
const [service, verb, from = "", to = ""] = positionals;
if (service !== "s3" || verb !== "sync") throw new Error(`Only 's3 sync' is known, not '${positionals.join(" ")}'.`);
const endpoint = values["endpoint-url"];
const region = process.env.AWS_DEFAULT_REGION ?? "us-east-1";
const s3 = new S3Client({ ...(endpoint && { endpoint }), region, forcePathStyle: true });

/** Bucket and prefix of `s3://bucket/prefix`. */
function placeOf(url: string): { readonly Bucket: string; readonly prefix: string } {
  const [, Bucket = "", prefix = ""] = /^s3:\/\/([^/]+)\/?(.*?)\/?$/.exec(url) ?? [];
  return { Bucket, prefix: prefix === "" ? "" : `${prefix}/` };
}

async function download(url: string, folder: string): Promise<void> {
  const { Bucket, prefix } = placeOf(url);
  for (let next: string | undefined, more = true; more; ) {
    const page = await s3.send(
      new ListObjectsV2Command({ Bucket, Prefix: prefix, ...(next !== undefined && { ContinuationToken: next }) }),
    );
    for (const { Key = "" } of page.Contents ?? []) {
      const file = path.join(folder, Key.slice(prefix.length));
      const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, (await Body?.transformToByteArray()) ?? "");
    }
    next = page.NextContinuationToken;
    more = next !== undefined;
  }
}

async function upload(folder: string, url: string): Promise<void> {
  const { Bucket, prefix } = placeOf(url);
  for (const name of await readdir(folder, { recursive: true })) {
    const file = path.join(folder, name);
    if (!(await stat(file)).isFile()) continue;
    const Key = prefix + name.split(path.sep).join("/");
    await s3.send(new PutObjectCommand({ Bucket, Key, Body: await readFile(file) }));
  }
}

await (from.startsWith("s3://") ? download(from, to) : upload(from, to));
