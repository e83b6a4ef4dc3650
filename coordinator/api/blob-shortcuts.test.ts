import { beforeEach, describe, expect, it } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { PresignWant } from "../blobs/blobs.ts";
import { call, createStand, type Stand } from "./api-stand.ts";

const text = "the bytes of a blob";
const digest = sha256(text);
const upload = `/v1/blobs/${digest}/upload`;

describe("Requests that go straight to the blob store", () => {
  let stand: Stand;
  let signed: unknown[];
  beforeEach(async () => {
    stand = await createStand();
    signed = [];
    const presign = async (of: string, want: PresignWant, ttlMs: number) => {
      signed.push([of, want, ttlMs]);
      return { url: `https://store.example.com/${of}?signature`, headers: { "if-none-match": "*" } };
    };
    Object.assign(stand.blobs, { presign });
  });

  it("are given to who asks for the bytes that way, with where they are and nothing else", async () => {
    const { status, headers, text: body } = await call(stand, "GET", `/v1/blobs/${digest}?direct=true`);
    expect([status, headers.get("location"), body]).toEqual([307, `https://store.example.com/${digest}?signature`, ""]);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(signed).toEqual([[digest, { method: "GET" }, limits.presignedTtlMs]]);
  });

  it("are not given to who does not ask for them, as browsers and curl", async () => {
    await stand.blobs.put(digest, Buffer.from(text), 100);
    const plain = await call(stand, "GET", `/v1/blobs/${digest}`);
    expect([plain.status, await plain.response.text()]).toEqual([200, text]);
    expect((await call(stand, "GET", `/v1/blobs/${digest}?direct=yes`)).status).toBe(400);
    expect(signed).toEqual([]);
  });

  it("are given to upload what is not there, for so many bytes", async () => {
    const { status, body } = await call(stand, "POST", upload, { json: { bytes: text.length } });
    const put = { url: `https://store.example.com/${digest}?signature`, headers: { "if-none-match": "*" } };
    expect([status, body]).toEqual([200, { present: false, put }]);
    expect(signed).toEqual([[digest, { method: "PUT", bytes: text.length }, limits.presignedTtlMs]]);
    await stand.blobs.put(digest, Buffer.from(text), 100);
    const there = await call(stand, "POST", upload, { json: { bytes: text.length } });
    expect(there.body).toEqual({ present: true, put: null });
    expect(signed).toHaveLength(1);
  });

  it("are given to nobody who could not do the same through the coordinator", async () => {
    const roles = { viewer: [307, 403], operator: [307, 403], deployer: [307, 200], agent: [307, 200] } as const;
    for (const [role, expected] of Object.entries(roles)) {
      const token = await stand.tokenOf(role as keyof typeof roles);
      const get = await call(stand, "GET", `/v1/blobs/${digest}?direct=true`, { token });
      const put = await call(stand, "POST", upload, { token, json: { bytes: 19 } });
      expect([role, get.status, put.status]).toEqual([role, ...expected]);
      const byCoordinator = await call(stand, "PUT", `/v1/blobs/${digest}`, { token, text: "other" });
      expect([role, byCoordinator.status === 403]).toEqual([role, put.status === 403]);
    }
    const nobody = await call(stand, "POST", upload, { token: null, json: { bytes: 19 } });
    expect(nobody.status).toBe(401);
    expect((await call(stand, "GET", `/v1/blobs/${digest}?direct=true`, { token: null })).status).toBe(401);
  });

  it("are not given for more bytes than a blob may have", async () => {
    const tooLarge = await call(stand, "POST", upload, { json: { bytes: limits.fileBytesMax + 1 } });
    expect([tooLarge.status, tooLarge.body.code]).toEqual([413, "TooLarge"]);
    expect((await call(stand, "POST", upload, { json: { bytes: -1 } })).status).toBe(400);
    expect(signed).toEqual([]);
  });

  it("are not given where the store has none: the bytes come from the coordinator, and go to it", async () => {
    const own = await createStand();
    expect((await call(own, "POST", upload, { json: { bytes: 19 } })).body).toEqual({ present: false, put: null });
    await own.blobs.put(digest, Buffer.from(text), 100);
    const got = await call(own, "GET", `/v1/blobs/${digest}?direct=true`);
    expect([got.status, await got.response.text()]).toEqual([200, text]);
  });
});
