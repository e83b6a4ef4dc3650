import { describe, expect, it } from "vitest";
import { limits } from "#shared/domain/limits.ts";
import { createStand } from "../api/api-stand.ts";
import type { Engine } from "../engine/engine.ts";
import { createAccess } from "./access.ts";

describe("access", () => {
  it("makes the first token once and never again", async () => {
    const stand = await createStand();
    expect(stand.admin).toMatch(/^salt_[0-9a-z]{32}$/);
    expect(await stand.access.ensureFirstToken()).toBeNull();
    const { rows } = await stand.access.listTokens({ limit: 10 });
    for (const { id } of rows) await stand.access.revokeToken({ id, by: "test" });
    expect(await createAccess(stand).ensureFirstToken()).toBeNull();
  });

  it("lets one of several coordinators make the first token", async () => {
    const stand = await createStand();
    await stand.engine.commit("p0" as never, [
      { checks: [], writes: [{ kind: "delete", key: "{p0}first-token" as never }] },
    ]);
    const made = await Promise.all([1, 2, 3].map(() => createAccess(stand).ensureFirstToken()));
    expect(made.filter((token) => token !== null)).toHaveLength(1);
  });

  it("stores the hash of a token and not the token", async () => {
    const stand = await createStand();
    const { token, id } = await stand.access.createToken({ name: "ci", role: "operator", by: "test" });
    const { found } = await stand.engine.get([`{p0}token/${id}` as never]);
    expect(found[0]?.value).toContain('"hash":"');
    expect(found[0]?.value).not.toContain(token);
    expect(await stand.access.authenticate(`Bearer ${token}`)).toMatchObject({ role: "operator", token: id });
  });

  it("refuses a revoked token at once here, and within seconds at another coordinator", async () => {
    const stand = await createStand();
    const elsewhere = createAccess(stand);
    const { token, id } = await stand.access.createToken({ name: "ci", role: "viewer", by: "test" });
    await elsewhere.authenticate(`Bearer ${token}`);
    await stand.access.authenticate(`Bearer ${token}`);
    expect(await stand.access.revokeToken({ id, by: "test" })).toBe(true);
    await expect(stand.access.authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: "NotAuthenticated" });
    stand.clock.advance(limits.tokenBelievedMs + 1);
    await expect(elsewhere.authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: "NotAuthenticated" });
    expect(await stand.access.revokeToken({ id, by: "test" })).toBe(false);
  });

  it("counts that time from before it asks: a token revoked while a slow answer is on its way is believed no longer", async () => {
    const stand = await createStand();
    const { token, id } = await stand.access.createToken({ name: "ci", role: "viewer", by: "test" });
    const read = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const slow: Engine = {
      ...stand.engine,
      async get(keys) {
        const found = await stand.engine.get(keys);
        read.resolve();
        await arrived.promise;
        return found;
      },
    };
    const elsewhere = createAccess({ ...stand, engine: slow });
    const first = elsewhere.authenticate(`Bearer ${token}`);
    await read.promise;
    await stand.access.revokeToken({ id, by: "test" });
    stand.clock.advance(limits.tokenBelievedMs - 100);
    arrived.resolve();
    expect((await first).token).toBe(id);
    stand.clock.advance(101);
    await expect(elsewhere.authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: "NotAuthenticated" });
  });

  it("refuses a token after its expiry, also while its record is remembered", async () => {
    const stand = await createStand();
    const { token } = await stand.access.createToken({ name: "ci", role: "viewer", by: "test", expiresInMs: 2_000 });
    await stand.access.authenticate(`Bearer ${token}`);
    stand.clock.advance(2_100);
    await expect(stand.access.authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: "NotAuthenticated" });
  });

  it("A61 refuses everything but a well-formed bearer token that it knows", async () => {
    const stand = await createStand();
    const known = stand.admin;
    const headers = [
      undefined,
      "",
      known,
      `Basic ${Buffer.from(`admin:${known}`).toString("base64")}`,
      `Token ${known}`,
      "Bearer",
      "Bearer ",
      `Bearer ${known} ${known}`,
      `Bearer ${known}x`,
      `Bearer ${known.slice(0, -1)}`,
      `Bearer ${known.toUpperCase()}`,
      "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoiYWRtaW4ifQ.",
      `Bearer salt_${"0".repeat(32)}`,
      `Bearer ${"a".repeat(5_000)}`,
    ];
    for (const header of headers) {
      await expect(stand.access.authenticate(header), String(header)).rejects.toMatchObject({
        code: "NotAuthenticated",
      });
    }
    expect((await stand.access.authenticate(`bearer ${known}`)).role).toBe("admin");
  });

  it("A74 writes each change of tokens and releases to an audit log with actor and digests", async () => {
    const stand = await createStand({ partitions: 3 });
    const { id } = await stand.access.createToken({ name: "ci", role: "viewer", by: "ada (tok_1)" });
    await stand.access.revokeToken({ id, by: "ada (tok_1)" });
    await stand.access.recordAudit({ actor: "ada (tok_1)", action: "run.cancel", object: "run_1" });
    const first = await stand.access.listAudit({ limit: 2, after: [] });
    const rest = await stand.access.listAudit({ limit: 10, after: first.next ?? [] });
    const rows = [...first.rows, ...rest.rows];
    expect(rest.next).toBeNull();
    expect(rows.map(({ action }) => action).sort()).toEqual([
      "run.cancel",
      "token.create",
      "token.create",
      "token.revoke",
    ]);
    const [created] = rows.filter(({ action, object }) => action === "token.create" && object === id);
    const [revoked] = rows.filter(({ action }) => action === "token.revoke");
    expect(created).toMatchObject({
      actor: "ada (tok_1)",
      before: null,
      after: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(revoked).toMatchObject({ before: created?.after, after: null });
  });

  it("lists tokens newest first, page by page over the partitions", async () => {
    const stand = await createStand({ partitions: 3 });
    for (let index = 0; index < 5; index += 1) {
      stand.clock.advance(1_000);
      await stand.access.createToken({ name: `t${index}`, role: "viewer", by: "test" });
    }
    const names: string[] = [];
    let after: { score: number; member: string } | null = null;
    do {
      const page = await stand.access.listTokens({ limit: 2, ...(after ? { after } : {}) });
      names.push(...page.rows.map(({ name }) => name));
      after = page.next;
    } while (after);
    expect(names).toEqual(["t4", "t3", "t2", "t1", "t0", "first admin"]);
  });
});
