import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { commandTable } from "./command-table.ts";
import { salt } from "./testing/fake-cli.ts";

it("suggests the nearest command, subcommand and flag, and exits 2", async () => {
  expect(await salt(["bild"])).toEqual({
    code: 2,
    out: "",
    err: "There is no command 'bild'. Did you mean 'build'?\n→ salt --help\n",
  });
  expect((await salt(["runs", "lst"])).err).toContain("Unknown command 'lst'. Did you mean one of list, ls?");
  expect((await salt(["runs", "list", "--jsn"])).err).toContain("Unknown option '--jsn'. Did you mean --json?");
  expect((await salt(["runs", "list", "--status", "faild"])).err).toContain("Did you mean 'failed'?");
  expect((await salt(["runs", "get"])).code).toBe(2);
  expect((await salt(["--verbos"])).code).toBe(2);
});

it("gives every command a help with its usage and its examples first, exit 0, on stdout", async () => {
  for (const { name, summary } of commandTable) {
    const help = await salt([name, "--help"]);
    expect([name, help.code, help.err]).toEqual([name, 0, ""]);
    expect(help.out).toMatch(new RegExp(`^.+\\n\\nUsage: salt ${name}`));
    expect(help.out.length).toBeGreaterThan(summary.length);
    expect((await salt(["help", name])).out).toBe(help.out);
  }
});

it("gives those commands that have examples at least one that begins with the command itself", async () => {
  for (const { name } of commandTable.filter((entry) => !["events", "config"].includes(entry.name))) {
    const { out } = await salt([name, "--help"]);
    expect(out).toMatch(/Examples:\n {2}# .+\n {2}\$ .*(salt|dist)/);
  }
});

it("lists every command in the help of the whole, and the exit codes under their own topic", async () => {
  const { code, out } = await salt(["--help"]);
  expect(code).toBe(0);
  for (const { name } of commandTable) expect(out).toContain(`  ${name} `);
  expect((await salt([])).out).toBe(out);
  expect((await salt(["help", "exit-codes"])).out).toMatch(/6 {2}the run failed[\s\S]*130 {2}interrupted/);
});

it("takes the flags of the coordinator before the command too", async () => {
  const ran = await salt(["--url", "http://127.0.0.1:1", "--token", "t", "runs", "list"]);
  expect([ran.code, ran.err]).toEqual([5, expect.stringContaining("http://127.0.0.1:1")]);
});

it("prints completions that their shells can read", async () => {
  const bash = (await salt(["completion", "bash"])).out;
  const words = 'COMP_WORDS=(salt runs wa); COMP_CWORD=2; _salt; echo "$COMPREPLY"';
  const { stdout } = await promisify(execFile)("bash", ["-c", `${bash}\n${words}`]);
  expect(stdout.trim()).toBe("watch");
  expect((await salt(["completion", "zsh"])).out).toMatch(/^#compdef salt\n/);
  expect((await salt(["completion", "fish"])).out).toContain(
    "complete -c salt -n __fish_use_subcommand -f -a register-workflow",
  );
  expect((await salt(["completion", "bsh"])).err).toContain("Did you mean 'bash'?");
});
