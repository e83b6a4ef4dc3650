import { createHash } from "node:crypto";

export interface Script {
  readonly source: string;
  readonly sha: string;
}

export const toScript = (source: string): Script => ({
  source,
  sha: createHash("sha1").update(source).digest("hex"),
});
