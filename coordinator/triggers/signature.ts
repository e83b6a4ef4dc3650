import { createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "#shared/ports.ts";

/**
 * Signatures by the rules of Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks, spec, section
 * "Signature scheme"): HMAC-SHA256 over `<id>.<timestamp>.<body>`, header `webhook-signature: v1,<base64> …`.
 */
export interface Delivery {
  readonly id: string;
  /** Seconds since the Unix epoch, as sent. */
  readonly timestamp: string;
  readonly signature: string;
  readonly body: Uint8Array;
}

export const webhookToleranceMs = 5 * 60_000;
const signaturesMax = 20;
const secretBytes = 24;

export const newSecret = (random: Random): string =>
  `whsec_${Buffer.from(random.bytes(secretBytes)).toString("base64")}`;

/** The signature that a sender with this secret puts into the header. */
export function signDelivery(secret: string, delivery: Omit<Delivery, "signature">): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const mac = createHmac("sha256", key).update(`${delivery.id}.${delivery.timestamp}.`).update(delivery.body);
  return `v1,${mac.digest("base64")}`;
}

/** Whether one of the secrets signed the delivery; all of them are compared, each in constant time. */
export function isSigned(secrets: readonly string[], delivery: Delivery): boolean {
  const given = delivery.signature.split(" ", signaturesMax).map((text) => Buffer.from(text));
  let signed = false;
  for (const secret of secrets) {
    const expected = Buffer.from(signDelivery(secret, delivery));
    for (const signature of given) {
      if (signature.length === expected.length && timingSafeEqual(signature, expected)) signed = true;
    }
  }
  return signed;
}

/** Whether the delivery's time is within the tolerance of now, before or after. */
export function isTimely(timestamp: string, nowMs: number): boolean {
  if (!/^\d{1,12}$/.test(timestamp)) return false;
  return Math.abs(Number(timestamp) * 1000 - nowMs) <= webhookToleranceMs;
}
