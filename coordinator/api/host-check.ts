import { SaltError } from "#shared/domain/errors.ts";

/** Whether an address to bind, or the name in a Host header, is this machine's own. */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return name === "localhost" || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/**
 * A73: to be reachable by others is never an accident. Tokens travel in clear unless something in front of the
 * coordinator, or the network, encrypts.
 */
export function requireSafeBind(host: string, allowRemote: boolean): void {
  if (allowRemote || isLoopback(host)) return;
  throw new SaltError(
    "UnsafeBind",
    `Cannot listen on '${host}': others could reach it, and remote access is not allowed.`,
    {
      next: "Bind 127.0.0.1, or allow it with --allow-remote and put TLS in front, since tokens travel in clear without it.",
    },
  );
}

/**
 * What a coordinator bound to loopback answers to is named as loopback too: a web page whose name was rebound to this
 * machine (DNS rebinding) sends its own name as Host.
 */
export function isForeignHost(header: string | undefined): boolean {
  if (header === undefined) return true;
  const match = /^(\[[0-9a-f:.]+\]|[^:@/\s]+)(:\d{1,5})?$/i.exec(header);
  return !match?.[1] || !isLoopback(match[1]);
}
