import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import { requireDigest } from "../require-digest.ts";
import { toSaltError } from "./s3-error.ts";
import { readS3Options, type S3Options, type S3Place } from "./s3-options.ts";

/** A place in a bucket, and the clients that reach it. */
export interface S3Store extends S3Place {
  readonly client: S3Client;
  /** Signs requests of others, who may reach the server by another address. It sends nothing. */
  readonly signer: S3Client;
  readonly clock: Clock;
  /** What the server does; the most careful answers until it was asked. */
  readonly server: S3Server;
  /** `BadRequest` for what is not a digest. */
  keyOf(sha256: Sha256): { readonly Bucket: string; readonly Key: string };
  /** Its errors, as operating errors that begin with "Cannot <attempted>". */
  attempt<T>(attempted: string, act: () => Promise<T>): Promise<T>;
}

/** What servers differ in, found out by trying. */
export interface S3Server {
  /** It honours `If-None-Match: *`. */
  createOnly: boolean;
  /** It refuses a presigned upload of other bytes than those that were signed for. */
  bindsUploads: boolean;
}

export interface S3StoreDeps {
  readonly clock: Clock;
  /** Default `limits.blobIdleMs`. */
  readonly idleMs?: number;
  /** Default `limits.blobTriesMax`. */
  readonly triesMax?: number;
}

export function createS3Store(options: S3Options, deps: S3StoreDeps): S3Store {
  const place = readS3Options(options);
  const client = new S3Client(clientConfig(options, options.endpoint, deps));
  const publicEndpoint = options.publicEndpoint ?? options.endpoint;
  const signer =
    publicEndpoint === options.endpoint ? client : new S3Client(clientConfig(options, publicEndpoint, deps));
  const where = { ...place, endpoint: options.endpoint, region: options.region };
  return {
    ...place,
    client,
    signer,
    clock: deps.clock,
    server: { createOnly: false, bindsUploads: false },
    keyOf: (sha256) => ({
      Bucket: place.bucket,
      Key: `${place.prefix}${requireDigest(sha256).slice(0, 2)}/${sha256}`,
    }),
    async attempt(attempted, act) {
      try {
        return await act();
      } catch (error) {
        throw toSaltError(error, attempted, where);
      }
    },
  };
}

function clientConfig(options: S3Options, endpoint: string | undefined, deps: S3StoreDeps): S3ClientConfig {
  const region = options.region ?? (endpoint === undefined ? undefined : "us-east-1");
  const sockets = { keepAlive: true, maxSockets: limits.blobConnectionsMax };
  return {
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    forcePathStyle: options.pathStyle ?? false,
    maxAttempts: deps.triesMax ?? limits.blobTriesMax,
    retryMode: "standard",
    // Bytes are verified by SHA-256 here; the SDK's own checksums in trailers are refused by many servers.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: limits.blobConnectMs,
      socketTimeout: deps.idleMs ?? limits.blobIdleMs,
      httpAgent: sockets,
      httpsAgent: sockets,
    },
  };
}
