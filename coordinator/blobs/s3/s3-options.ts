import { SaltError } from "#shared/domain/errors.ts";

export interface S3Options {
  /** `s3://bucket`, or `s3://bucket/prefix`. */
  readonly url: string;
  /** Of a server that is not Amazon's, such as `http://127.0.0.1:8333`. */
  readonly endpoint?: string;
  /** What agents and the CLI reach the same server by, when that is another address. Default: `endpoint`. */
  readonly publicEndpoint?: string;
  /** Default: that of AWS's settings; `us-east-1` when an endpoint is given. */
  readonly region?: string;
  /** `https://host/bucket/…` in place of `https://bucket.host/…`. Default false. */
  readonly pathStyle?: boolean;
  /** Encryption on the server: `AES256`, `aws:kms`, or `aws:kms:<key>`. Default: what the bucket does by itself. */
  readonly sse?: string;
  /** Default: AWS's chain of environment, files, and the machine's role. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** The options, read. */
export interface S3Place {
  readonly bucket: string;
  /** Empty, or ending with `/`. */
  readonly prefix: string;
  readonly encryption: S3Encryption;
}

export interface S3Encryption {
  readonly ServerSideEncryption?: "AES256" | "aws:kms";
  readonly SSEKMSKeyId?: string;
}

/** `BadRequest` says which option is not one. */
export function readS3Options(options: S3Options): S3Place {
  for (const endpoint of [options.endpoint, options.publicEndpoint]) requireHttp(endpoint);
  return { ...readUrl(options.url), encryption: readEncryption(options.sse) };
}

function readUrl(url: string): { bucket: string; prefix: string } {
  const [, bucket, path = ""] =
    /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/([\w.!*'()/-]{0,500}))?$/.exec(url) ?? [];
  const parts = path.split("/").filter((part) => part !== "");
  if (bucket === undefined || parts.includes(".") || parts.includes("..")) {
    throw refusal(`'${url}' as the blob store`, "it is not s3://bucket or s3://bucket/prefix");
  }
  return { bucket, prefix: parts.map((part) => `${part}/`).join("") };
}

function readEncryption(sse: string | undefined): S3Encryption {
  if (sse === undefined) return {};
  if (sse === "AES256" || sse === "aws:kms") return { ServerSideEncryption: sse };
  const [, key] = /^aws:kms:([\w:/-]{1,2048})$/.exec(sse) ?? [];
  if (key !== undefined) return { ServerSideEncryption: "aws:kms", SSEKMSKeyId: key };
  throw refusal(`'${sse}' as the blob store's encryption`, "it is not AES256, aws:kms or aws:kms:<key>");
}

function requireHttp(endpoint: string | undefined): void {
  if (endpoint === undefined) return;
  const url = URL.parse(endpoint);
  const plain = url !== null && url.search === "" && url.username === "" && /^\/*$/.test(url.pathname);
  if (plain && /^https?:$/.test(url.protocol)) return;
  throw refusal("the blob store's endpoint", "it is not http://host:port or https://host:port");
}

const refusal = (what: string, why: string): SaltError =>
  new SaltError("BadRequest", `Cannot use ${what}: ${why}.`, {
    next: "Give for instance --s3 s3://bucket/prefix --s3-endpoint https://s3.example.com, and --s3-sse AES256.",
  });
