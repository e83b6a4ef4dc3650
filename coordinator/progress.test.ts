import { describe, expect, it } from "vitest";
import { type CallKey, type RunId, taskId } from "#shared/domain/ids.ts";
import { ManualClock } from "./engine/manual-clock.ts";
import { ProgressBoard } from "./progress.ts";

const run = `run_${"0".repeat(28)}` as RunId;
const other = `run_${"1".repeat(28)}` as RunId;
const attempt = (of: RunId, key: string, fence = 1) => ({ task: taskId(of, key as CallKey), fence });
const score = attempt(run, "score#1");

describe("the progress board", () => {
  it("keeps the latest that a task said, and shows it of no other attempt", () => {
    const clock = new ManualClock(1_000);
    const board = new ProgressBoard(clock);
    board.say(score, { fraction: 0.2, message: "begun" });
    clock.pass(5);
    board.say(score, { fraction: 0.4 });
    expect(board.of(score.task, 1)).toMatchObject({ fraction: 0.4, message: null, atMs: 1_005 });
    expect(board.of(score.task, 2)).toBeNull();
    board.forget(score.task);
    expect(board.of(score.task, 1)).toBeNull();
  });

  it("tells what one run's tasks said after a turn, each once, in order", () => {
    const board = new ProgressBoard(new ManualClock());
    for (const message of ["a", "b"]) board.say(score, { message });
    const { turn } = board;
    board.say(attempt(other, "score#1"), { message: "elsewhere" });
    for (const message of ["c", "d"]) board.say(attempt(run, "score#2"), { message });
    board.say(score, { message: "e" });
    const messages = (after: number) => board.since(run, after).map(({ message }) => message);
    expect(messages(turn)).toEqual(["d", "e"]);
    expect(messages(board.turn)).toEqual([]);
    expect(board.since(other, 0)).toHaveLength(1);
  });

  it("forgets who has been silent for longest when there are more than ten thousand", () => {
    const board = new ProgressBoard(new ManualClock());
    board.say(score, { fraction: 0 });
    board.say(attempt(run, "silent#1"), { fraction: 0 });
    board.say(score, { fraction: 1 });
    for (let n = 1; n < 10_000; n += 1) board.say(attempt(other, `score#${n}`), { fraction: 0 });
    expect(board.since(run, 0).map(({ task }) => task)).toEqual([score.task]);
  });

  it("wakes who waits for one run's tasks, and nobody else", async () => {
    const board = new ProgressBoard(new ManualClock());
    const woken: RunId[] = [];
    const gone = new AbortController();
    const waits = [run, other].map((each) => board.wait(each, gone.signal).then(() => void woken.push(each)));
    board.say(score, { fraction: 1 });
    await waits[0];
    expect(woken).toEqual([run]);
    gone.abort();
    await waits[1];
  });
});
