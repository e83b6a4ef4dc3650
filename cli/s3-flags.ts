import type { CoordinatorOptions } from "#coordinator/main.ts";
import { SaltError } from "#shared/domain/errors.ts";
import type { Cli } from "./cli.ts";
import type { CommandOptions } from "./command.ts";

export type S3 = NonNullable<NonNullable<CoordinatorOptions["stores"]>["s3"]>;

/** Flag, what it is followed by, and what it says; each has a variable, `SALT_S3_…`. */
export const s3Flags = [
  ["--s3", "url", "keep binaries and large values in this bucket: s3://bucket/prefix", "SALT_S3_URL"],
  ["--s3-endpoint", "url", "address of an S3-compatible server (default: Amazon's)", "SALT_S3_ENDPOINT"],
  ["--s3-public-endpoint", "url", "its address as agents and users reach it, if another", "SALT_S3_PUBLIC_ENDPOINT"],
  ["--s3-region", "region", "the bucket's region (default: AWS_REGION)", "SALT_S3_REGION"],
  ["--s3-path-style", null, "the bucket is in the path, not in the host's name", "SALT_S3_PATH_STYLE"],
  ["--s3-sse", "how", "encrypt on the server: AES256, aws:kms or aws:kms:<key>", "SALT_S3_SSE"],
] as const;

/** Undefined when nothing names a bucket. A flag goes before its variable; an empty variable is none. */
export function readS3(cli: Pick<Cli, "env">, options: CommandOptions): S3 | undefined {
  const { env } = cli;
  const given = (flag: unknown, variable: string) => (flag === undefined ? env[variable] || undefined : String(flag));
  const url = given(options.s3, "SALT_S3_URL");
  const endpoint = given(options.s3Endpoint, "SALT_S3_ENDPOINT");
  const publicEndpoint = given(options.s3PublicEndpoint, "SALT_S3_PUBLIC_ENDPOINT");
  const region = given(options.s3Region, "SALT_S3_REGION") ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined);
  const sse = given(options.s3Sse, "SALT_S3_SSE");
  const pathStyle = options.s3PathStyle === true || isOn(env.SALT_S3_PATH_STYLE);
  if (url === undefined) {
    if (!Object.keys(options).some((name) => name.startsWith("s3"))) return undefined;
    throw new SaltError("BadRequest", "Cannot use --s3-… without a bucket.", { next: "Give --s3 s3://bucket/prefix." });
  }
  return {
    url,
    pathStyle,
    ...(endpoint !== undefined && { endpoint }),
    ...(publicEndpoint !== undefined && { publicEndpoint }),
    ...(region !== undefined && { region }),
    ...(sse !== undefined && { sse }),
  };
}

const isOn = (text: string | undefined): boolean => text !== undefined && !["", "0", "false", "no"].includes(text);
