import { connect } from "node:net";

/** One connection to the agent, as a stream of bytes. */
export interface AgentSocket {
  write(text: string): void;
  destroy(): void;
}

export interface AgentSocketEvents {
  opened(): void;
  data(bytes: Buffer): void;
  /** Called once, also when it could not be opened. */
  closed(): void;
}

export type DialAgent = (events: AgentSocketEvents) => AgentSocket;

/** Edge: dials the Unix socket, or the named pipe, at `path`. */
export const dialAgentAt =
  (path: string): DialAgent =>
  (events) => {
    const socket = connect(path);
    socket.on("connect", () => events.opened());
    socket.on("data", (bytes: Buffer) => events.data(bytes));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => events.closed());
    return { write: (text) => void socket.write(text), destroy: () => void socket.destroy() };
  };

/** Keeps the process alive while there is no socket. */
export function keepProcessAlive(): { release(): void } {
  const hold = new MessageChannel();
  hold.port1.onmessage = () => {};
  return { release: () => hold.port1.close() };
}
