import { lstatSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { saltFolder } from "./salt-process.ts";
import type { Salt } from "./start-salt.ts";

/** Where a text has one of these secrets in it, in clear, in base64 or in hex. */
export function placesOf(secrets: readonly string[], texts: ReadonlyMap<string, string>): string[] {
  const forms = secrets.flatMap((secret) => {
    const bytes = Buffer.from(secret);
    return [secret, encodeURIComponent(secret), bytes.toString("base64").replace(/=+$/, ""), bytes.toString("hex")];
  });
  return [...texts].filter(([, text]) => forms.some((form) => text.includes(form))).map(([place]) => place);
}

/** What the processes of a Salt have written: their logs, and every file but binaries and blobs. */
export function textsOf(salt: Salt): Map<string, string> {
  const texts = new Map<string, string>();
  for (const [n, process] of salt.coordinators.entries()) {
    texts.set(`stderr of coordinator ${n + 1}`, process.stderr());
    // The first one prints the first admin token, once, as the only thing on stdout.
    texts.set(`stdout of coordinator ${n + 1}`, n === 0 ? process.stdout().replace(salt.token, "") : process.stdout());
  }
  for (const [n, process] of salt.agents.entries()) {
    texts.set(`output of agent ${n + 1}`, process.stdout() + process.stderr());
  }
  for (const file of filesIn(salt.folder)) {
    if (!/\/(binaries|blobs|dist|projects)\//.test(file)) texts.set(file, readFileSync(file, "latin1"));
  }
  return texts;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const file = path.join(folder, name);
    const found = lstatSync(file);
    return found.isDirectory() ? filesIn(file) : found.isFile() ? [file] : [];
  });
}

/**
 * A72: no token is in anything that the processes wrote, and no webhook secret but in the engine's file, which has to
 * have it in clear to verify with. Nor has a crash left a report beside the sources.
 */
export function expectUntold(salt: Salt, webhookSecrets: readonly string[]): void {
  const texts = textsOf(salt);
  const told = placesOf([salt.token, salt.agentToken], texts);
  for (const place of texts.keys()) if (/salt\.db/.test(place)) texts.delete(place);
  told.push(...placesOf(webhookSecrets, texts));
  const reports = readdirSync(saltFolder).filter((name) => /^(report\.|core)/.test(name));
  if (told.length + reports.length > 0) throw new Error(`Secrets, or crashes, are told in ${[...told, ...reports]}.`);
}
