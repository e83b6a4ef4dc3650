import { describe, expect, it } from "vitest";
import { binarySha256, createStand, manifestOf, register } from "../api/api-stand.ts";

const schema = (input: Record<string, unknown> | true) =>
  manifestOf({
    description: {
      ...manifestOf().description,
      workflows: [{ name: "main", input, output: true }],
    },
  });

describe("registerRelease", () => {
  it("registers a release once, however often its content comes", async () => {
    const stand = await createStand();
    const first = await register(stand);
    expect(first).toMatchObject({
      project: "shop",
      created: true,
      release: expect.stringMatching(/^rel_[0-9a-f]{26}$/),
    });
    const { description, ...rest } = manifestOf();
    const again = await register(stand, { ...rest, description: { ...description } });
    expect(again).toEqual({ ...first, created: false });
    expect((await stand.registry.listReleases({ project: "shop", limit: 10 })).rows).toHaveLength(1);
  });

  it("makes the newest registration the one that new runs use, also one that goes back", async () => {
    const stand = await createStand({ partitions: 4 });
    const first = await register(stand);
    stand.clock.advance(1_000);
    const second = await register(stand, manifestOf({ note: "Better." }));
    expect((await stand.registry.readCurrentRelease("shop"))?.id).toBe(second.release);
    const back = await register(stand);
    expect(back).toMatchObject({ release: first.release, created: false });
    expect((await stand.registry.readCurrentRelease("shop"))?.id).toBe(first.release);
    const { rows } = await stand.registry.listReleases({ project: "shop", limit: 10 });
    expect(rows.map(({ id, current }) => [id, current])).toEqual([
      [second.release, false],
      [first.release, true],
    ]);
    expect((await stand.registry.readRelease(second.release))?.manifest.project).toBe("shop");
  });

  it("refuses a release whose binary is not in the blob store, and stores nothing of it", async () => {
    const stand = await createStand();
    await expect(stand.registry.registerRelease({ manifest: manifestOf(), by: "test" })).rejects.toMatchObject({
      code: "DigestMismatch",
      details: { missing: [binarySha256] },
    });
    expect(await stand.registry.readProject("shop")).toBeNull();
    expect((await stand.registry.listReleases({ limit: 10 })).rows).toEqual([]);
  });

  it("refuses a binary whose size is not the one in the manifest", async () => {
    const stand = await createStand();
    const manifest = manifestOf({ binaries: { "linux-x64": { sha256: binarySha256, bytes: 5 } } });
    await expect(register(stand, manifest)).rejects.toMatchObject({ code: "DigestMismatch" });
  });

  it("names what is wrong with a manifest", async () => {
    const stand = await createStand();
    const cron = { kind: "cron", name: "nightly", workflow: "any", cron: "0 2 * * *", timezone: "UTC" } as const;
    const cases: [string, unknown, RegExp][] = [
      ["no object", "x", /Cannot register/],
      ["a bad name", { ...manifestOf(), project: "../up" }, /\/project/],
      ["no binary", manifestOf({ binaries: {} }), /no binary/],
      ["an unknown workflow", manifestOf({ triggers: [{ ...cron, workflow: "no" }] }), /'no'/],
      [
        "an input that does not fit",
        manifestOf({ triggers: [{ ...cron, workflow: "main", input: { n: "x" } }] }),
        /the input of trigger 'nightly' is not what workflow 'main' takes, at '\/n' it must be number\./,
      ],
      ["a trigger twice", manifestOf({ triggers: [cron, cron] }), /two of the trigger 'nightly'/],
      [
        "a bad expression",
        manifestOf({ triggers: [{ ...cron, cron: "61 * * * *" }] }),
        /'61 \* \* \* \*' is not valid/,
      ],
      ["an expression that never occurs", manifestOf({ triggers: [{ ...cron, cron: "0 0 30 2 *" }] }), /never occurs/],
      [
        "a bad time zone",
        manifestOf({ triggers: [{ ...cron, timezone: "Mars/Base" }] }),
        /'Mars\/Base' is not a time zone/,
      ],
      [
        "an input that the workflow refuses",
        manifestOf({ triggers: [{ ...cron, workflow: "main", input: {} }] }),
        /nightly/,
      ],
      ["a schema that is none", schema({ type: "nonsense" }), /schema of the input of workflow 'main'/],
      ["a schema that refers elsewhere", schema({ $ref: "https://example.com/x.json" }), /schema of the input/],
    ];
    for (const [what, manifest, message] of cases) {
      await expect(stand.registry.registerRelease({ manifest, by: "test" }), what).rejects.toThrow(message);
    }
  });

  it("resolves task types of a project's current release", async () => {
    const stand = await createStand();
    const { release } = await register(stand);
    const found = await stand.registry.resolveTaskType({ project: "shop", task: "score" });
    expect(found?.release.id).toBe(release);
    expect(await stand.registry.resolveTaskType({ project: "shop", task: "nope" })).toBeNull();
    expect(await stand.registry.resolveTaskType({ project: "constructor", task: "score" })).toBeNull();
  });
});

describe("checkInput", () => {
  const check = async (input: unknown, workflow = "main") => {
    const stand = await createStand();
    await register(stand);
    const release = await stand.registry.readCurrentRelease("shop");
    if (!release) throw new Error("no release");
    return stand.registry.checkInput({ release, workflow, input });
  };

  it("names the path of each thing that the schema refuses", async () => {
    await expect(check({ n: "one", more: 1 })).rejects.toMatchObject({
      code: "InvalidInput",
      details: {
        issues: expect.arrayContaining([
          { path: "/n", message: "must be number" },
          { path: "", message: "must not have the property 'more'" },
        ]),
      },
    });
    expect(await check({ n: 1 })).toEqual({ n: 1 });
  });

  it("takes no input as null, and says what is needed where null will not do", async () => {
    expect(await check(undefined, "any")).toBeNull();
    expect(await check(undefined, "defaulting")).toBe(30);
    await expect(check(undefined)).rejects.toThrow(/it needs an input/);
    await expect(check(undefined, "none")).rejects.toMatchObject({ code: "UnknownWorkflow" });
  });

  it("A71 stops a pattern that backtracks without end", async () => {
    const before = performance.now();
    await expect(check({ n: 1, who: `${"a".repeat(60)}!` })).rejects.toThrow(/could not be validated within/);
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(await check({ n: 1, who: "aaaa" })).toEqual({ n: 1, who: "aaaa" });
  });

  it("A60 validates members that are named like parts of a prototype as any other", async () => {
    await expect(check(JSON.parse('{"n":1,"__proto__":{"polluted":true}}'))).rejects.toThrow(/__proto__/);
    await expect(check({ n: 1, constructor: { prototype: {} } })).rejects.toThrow(/constructor/);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });
});
