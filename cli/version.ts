import { readFileSync } from "node:fs";
import path from "node:path";
import { saltFolder } from "./installation.ts";

const { version } = JSON.parse(readFileSync(path.join(saltFolder, "package.json"), "utf8")) as {
  version: string;
};

export const saltVersion: string = version;
