import { readInstalled } from "./installation.ts";

const { version } = JSON.parse(readInstalled("package.json")) as { version: string };

export const saltVersion: string = version;
