import { SaltError } from "#shared/domain/errors.ts";

/** What the AWS SDK throws, as far as it is looked at. */
interface S3Failure {
  readonly name?: string;
  readonly code?: string;
  readonly cause?: { readonly code?: string };
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
}

interface S3Where {
  readonly bucket: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
}

interface Finding {
  readonly why: string;
  readonly next: string;
  /** Default false: nothing changes by waiting. */
  readonly retryable?: true;
}

export const statusOf = (error: unknown): number | undefined => (error as S3Failure).$metadata?.httpStatusCode;
export const isAbsent = (error: unknown): boolean =>
  ["NotFound", "NoSuchKey"].includes((error as S3Failure).name ?? "") && statusOf(error) === 404;
/** The blob was there before (RFC 9110, section 13.1.2). */
export const isThereAlready = (error: unknown): boolean => statusOf(error) === 412;
/** Another write of the same key was under way. */
export const isRace = (error: unknown): boolean => (error as S3Failure).name === "ConditionalRequestConflict";

/** What the store answers, or that it does not, as an operating error; other errors stay what they are. */
export function toSaltError(error: unknown, attempted: string, where: S3Where): unknown {
  if (!(error instanceof Error) || error instanceof SaltError) return error;
  const failure = error as S3Failure;
  if (/StorageFull|QuotaExceeded/.test(failure.name ?? "") || statusOf(error) === 507) {
    return new SaltError("NoSpace", `Cannot ${attempted}: bucket '${where.bucket}' is full.`, {
      cause: causeOf(error),
      next: "Give the blob store more space.",
      retryable: true,
    });
  }
  const finding = findingOf(failure, where);
  if (finding === null) return error;
  return new SaltError("Unavailable", `Cannot ${attempted}: ${finding.why}.`, {
    cause: causeOf(error),
    next: finding.next,
    retryable: finding.retryable ?? false,
  });
}

/** Without the SDK's request and answer, which hold signatures, and are long. */
function causeOf(error: Error): Error {
  const { requestId } = (error as S3Failure).$metadata ?? {};
  const cause = new Error(`${error.name}: ${error.message}${requestId ? ` (request ${requestId})` : ""}`);
  if (error.stack !== undefined) cause.stack = error.stack;
  return cause;
}

function findingOf(failure: S3Failure, where: S3Where): Finding | null {
  const { bucket } = where;
  const name = failure.name ?? "";
  const status = failure.$metadata?.httpStatusCode;
  if (name === "NoSuchBucket" || name === "InvalidBucketName") {
    return {
      why: `there is no bucket '${bucket}' at ${addressOf(where)}`,
      next: "Create the bucket, or name another with --s3.",
    };
  }
  const region = otherRegionOf(failure);
  if (region !== null) {
    const next = region === "" ? "Give the bucket's region with --s3-region." : `Give --s3-region ${region}.`;
    return { why: `bucket '${bucket}' is not in the region that was asked${region && `, but in ${region}`}`, next };
  }
  return credentialsFinding(failure, bucket) ?? serverFinding(failure, status, where);
}

/** The region that the bucket is in, empty when it is not said, null when the region is not what is wrong. */
function otherRegionOf(failure: S3Failure): string | null {
  const names = ["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"];
  const said = failure.$response?.headers?.["x-amz-bucket-region"];
  const expected = /expecting '([\w-]+)'/.exec(failure.message ?? "")?.[1];
  if (!names.includes(failure.name ?? "") && failure.$metadata?.httpStatusCode !== 301) return null;
  return said ?? expected ?? "";
}

function credentialsFinding(failure: S3Failure, bucket: string): Finding | null {
  switch (failure.name) {
    case "CredentialsProviderError":
      return {
        why: "there are no credentials for it",
        next: "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile with AWS_PROFILE, or give the machine a role.",
      };
    case "RequestTimeTooSkewed":
      return { why: "the store's clock and this machine's differ too much", next: "Let both follow a time server." };
    case "ExpiredToken":
    case "ExpiredTokenException":
      return { why: "its credentials have expired", next: "Renew the credentials, then start again." };
    case "InvalidAccessKeyId":
    case "SignatureDoesNotMatch":
      return {
        why: "the store does not accept the credentials",
        next: "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
      };
  }
  if (failure.name !== "AccessDenied" && ![401, 403].includes(failure.$metadata?.httpStatusCode ?? 0)) return null;
  return {
    why: `the credentials may not do this in bucket '${bucket}'`,
    next: "Allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket, s3:AbortMultipartUpload and s3:ListBucketMultipartUploads on it.",
  };
}

function serverFinding(failure: S3Failure, status: number | undefined, where: S3Where): Finding | null {
  if (failure.name === "SlowDown" || status === 503 || status === 429) {
    return { why: "the store asks to slow down", next: "Try again in a moment; Salt does.", retryable: true };
  }
  if (/^KMS\.|^KMS/.test(failure.name ?? "")) {
    return { why: `the store cannot encrypt (${failure.name})`, next: "Check --s3-sse, its key, and who may use it." };
  }
  if (status !== undefined && status >= 500) {
    return {
      why: `the store answered ${status} ${failure.name}`,
      next: "Look at the store's own log.",
      retryable: true,
    };
  }
  if (status !== undefined && status >= 400) {
    return { why: `the store answered ${status} ${failure.name}: ${failure.message}`, next: "Check the --s3 options." };
  }
  return networkFinding(failure, where);
}

function networkFinding(failure: S3Failure, where: S3Where): Finding | null {
  if (failure.message?.startsWith("Region is missing")) {
    return { why: "its region is not known", next: "Give --s3-region, or set AWS_REGION." };
  }
  // What fetch throws has its reason in the cause.
  const code = failure.code ?? failure.cause?.code;
  const isLate = ["TimeoutError", "AbortError"].includes(failure.name ?? "");
  if (code === undefined && !isLate) return null;
  const virtualHost = code === "ENOTFOUND" && where.endpoint !== undefined;
  return {
    why: `${addressOf(where)} cannot be reached (${code ?? "no answer in time"})`,
    next: virtualHost
      ? "Check --s3-endpoint, and give --s3-path-style when buckets have no host names of their own."
      : "Check --s3-endpoint, and that the store is up.",
    retryable: true,
  };
}

const addressOf = (where: S3Where): string => where.endpoint ?? `S3${where.region ? ` in ${where.region}` : ""}`;
