import type { AgentToProgramFrame, ProgramFrame } from "#shared/protocol/task.ts";
import { declared } from "../declare/registry.ts";
import { Program } from "../program/program.ts";
import { textsInMemory } from "./texts-in-memory.ts";
import { createVirtualClock } from "./virtual-clock.ts";

/** The program core without socket and process, for transcripts. */
export function testProgram() {
  const clock = createVirtualClock();
  const sent: ProgramFrame[] = [];
  const exits: number[] = [];
  const texts = textsInMemory();
  const program = new Program({
    clock,
    registry: declared,
    session: "secret",
    pid: 1,
    argsId: null,
    send: (frame) => void sent.push(frame),
    host: {
      texts,
      hashFile: () => Promise.reject(new Error("no files here")),
      writeLine: () => {},
      writeError: () => {},
      enter: () => {},
      leave: () => true,
      offsets: () => ({ stdout: 0, stderr: 0 }),
      exit: (code) => void exits.push(code),
      // As a shell says of it.
      kill: () => void exits.push(128 + 9),
    },
  });
  return {
    clock,
    sent,
    exits,
    texts,
    program,
    receive: (frame: AgentToProgramFrame) => program.receive(frame),
    /** A new connection: the program greets, and what it sent before may be lost. */
    reconnect: () => void sent.push(program.hello()),
  };
}
