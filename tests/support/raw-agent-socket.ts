import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

/** Opcodes and bits of RFC 6455, section 5.2. */
export const frameBits = { text: 0x1, continuation: 0x0, binary: 0x2, close: 0x8, final: 0x80, compressed: 0x40 };

/** The head of a client's frame that announces so many bytes; the mask is zero, so the payload goes as it is. */
export function frameHead(first: number, bytes: number): Buffer {
  const head = Buffer.alloc(bytes < 126 ? 6 : bytes < 65_536 ? 8 : 14);
  head[0] = first;
  head[1] = 0x80 | (bytes < 126 ? bytes : bytes < 65_536 ? 126 : 127);
  if (bytes >= 65_536) head.writeBigUInt64BE(BigInt(bytes), 2);
  else if (bytes >= 126) head.writeUInt16BE(bytes, 2);
  return head;
}

export const frame = (first: number, payload: string | Buffer): Buffer =>
  Buffer.concat([frameHead(first, Buffer.byteLength(payload)), Buffer.from(payload)]);

/** The agent's end of a WebSocket, byte for byte as it is told. */
export interface RawAgentSocket {
  /** The head of the answer to the upgrade. */
  readonly answer: string;
  /** False once it has been closed. Waits while the other side takes nothing. */
  send(bytes: Buffer): Promise<boolean>;
  /** Resolves with the code of the close frame that came, or null when the connection ended without one. */
  readonly closed: Promise<number | null>;
  destroy(): void;
}

export async function openRawAgentSocket(
  url: string,
  token: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAgentSocket> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname).on("error", () => undefined);
  const lines = Object.entries({
    Host: `${hostname}:${port}`,
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
    "Sec-WebSocket-Protocol": "salt.agent.v1",
    Authorization: `Bearer ${token}`,
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET /v1/agent HTTP/1.1\r\n${lines.join("")}\r\n`);
  const { answer, rest } = await readHead(socket);
  return {
    answer,
    closed: readClose(socket, rest),
    destroy: () => socket.destroy(),
    send: (bytes) =>
      new Promise((resolve) => {
        if (socket.destroyed || socket.writableEnded) resolve(false);
        else if (socket.write(bytes)) setImmediate(() => resolve(!socket.destroyed));
        else {
          const go = () => resolve(!socket.destroyed);
          socket.once("drain", go).once("close", go);
        }
      }),
  };
}

function readHead(socket: Socket): Promise<{ answer: string; rest: Buffer }> {
  return new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0);
    const ended = () => reject(new Error(`The upgrade was not answered: ${bytes.toString("latin1")}`));
    const read = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      const end = bytes.indexOf("\r\n\r\n");
      if (end < 0) return;
      socket.off("data", read).off("close", ended);
      resolve({ answer: bytes.toString("latin1", 0, end), rest: bytes.subarray(end + 4) });
    };
    socket.on("data", read).on("close", ended);
  });
}

/** A server's frames are not masked, and those that come here are short. */
function readClose(socket: Socket, rest: Buffer): Promise<number | null> {
  return new Promise((resolve) => {
    let bytes = rest;
    const read = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 2) {
        const length = (bytes[1] ?? 0) & 0x7f;
        const head = length === 126 ? 4 : 2;
        const end = head + (length === 126 ? bytes.readUInt16BE(2) : length);
        if (bytes.length < end) return;
        if (((bytes[0] ?? 0) & 0xf) === frameBits.close) resolve(length >= 2 ? bytes.readUInt16BE(2) : null);
        bytes = bytes.subarray(end);
      }
    };
    socket.on("data", read).on("close", () => resolve(null));
    read(Buffer.alloc(0));
  });
}
