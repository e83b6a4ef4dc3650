import { describe, expect, it } from "vitest";
import { limits } from "#shared/domain/limits.ts";
import { systemRandom } from "#shared/system.ts";
import { createStand } from "../api/api-stand.ts";
import type { Engine } from "../engine/engine.ts";
import { createAccess } from "./access.ts";
import { requireFirstTokens } from "./first-token.ts";
import { hashOf, newTokenText, tokenIdOf, tokenKey } from "./tokens.ts";

const forgetFirstToken = (engine: Engine) =>
  engine.commit("p0" as never, [{ checks: [], writes: [{ kind: "delete", key: "{p0}first-token" as never }] }]);

const tokenKeyOf = (token: string) => tokenKey("p0" as never, tokenIdOf(hashOf(token)));

/** A stand without tokens, and two to give. */
async function beforeFirstStart() {
  const stand = await createStand();
  const { rows } = await stand.access.listTokens({ limit: 10 });
  for (const { id } of rows) await stand.access.revokeToken({ id, by: "test" });
  await forgetFirstToken(stand.engine);
  return { stand, given: { admin: newTokenText(systemRandom), agent: newTokenText(systemRandom) } };
}

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
    await forgetFirstToken(stand.engine);
    const made = await Promise.all([1, 2, 3].map(() => createAccess(stand).ensureFirstToken()));
    expect(made.filter((token) => token !== null)).toHaveLength(1);
  });

  it("remembers first tokens that were given, with their roles, and shows none", async () => {
    const { stand, given } = await beforeFirstStart();
    expect(await stand.access.ensureFirstToken(given)).toBeNull();
    expect(await stand.access.authenticate(`Bearer ${given.admin}`)).toMatchObject({ role: "admin" });
    expect(await stand.access.authenticate(`Bearer ${given.agent}`)).toMatchObject({ role: "agent" });
    const stored = await stand.engine.get([given.admin, given.agent].map((token) => tokenKeyOf(token)));
    for (const { value } of stored.found) {
      expect(value).toContain('"hash":"');
      expect(value).not.toContain("salt_");
    }
  });

  it("makes given tokens at the first start only: one that was revoked stays so, another is not made", async () => {
    const { stand, given } = await beforeFirstStart();
    await stand.access.ensureFirstToken(given);
    await stand.access.revokeToken({ id: tokenIdOf(hashOf(given.admin)), by: "test" });
    const later = { ...given, agent: `salt_${"0123456789abcdef".repeat(2)}` };
    expect(await createAccess(stand).ensureFirstToken(later)).toBeNull();
    for (const token of [given.admin, later.agent]) {
      await expect(stand.access.authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: "NotAuthenticated" });
    }
  });

  it("goes on where a first start ended between its tokens and the mark that they were made", async () => {
    const { stand, given } = await beforeFirstStart();
    await stand.access.ensureFirstToken(given);
    await forgetFirstToken(stand.engine);
    expect(await Promise.all([1, 2].map(() => createAccess(stand).ensureFirstToken(given)))).toEqual([null, null]);
    const { rows } = await stand.access.listTokens({ limit: 10 });
    expect(rows.map(({ name }) => name).sort()).toEqual(["first admin", "first agents"]);
  });

  it("chooses the admin token still where one for agents alone is given", async () => {
    const { stand, given } = await beforeFirstStart();
    expect(await stand.access.ensureFirstToken({ agent: given.agent })).toMatch(/^salt_[0-9a-z]{32}$/);
    expect(await stand.access.authenticate(`Bearer ${given.agent}`)).toMatchObject({ role: "agent" });
  });

  it("refuses first tokens that can be guessed, have another form, or serve two roles, and repeats none", () => {
    const good = newTokenText(systemRandom);
    for (const admin of ["change-me", `salt_${"0".repeat(32)}`, `salt_${"abc1".repeat(8)}`, good.slice(0, -1)]) {
      expect(() => requireFirstTokens({ admin })).toThrow(
        /^Cannot use the first admin token((?!salt_\w{8}|change).)*$/,
      );
    }
    expect(() => requireFirstTokens({ admin: good, agent: good })).toThrow(/alike/);
    expect(() => requireFirstTokens({ admin: good, agent: newTokenText(systemRandom) })).not.toThrow();
    expect(() => requireFirstTokens({})).not.toThrow();
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
