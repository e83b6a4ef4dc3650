import { createServer, type IncomingMessage, type ServerResponse, request as send } from "node:http";
import type { AddressInfo } from "node:net";

/** What befalls one request on its way to the server behind the proxy. */
export type Fault =
  /** Answers itself, as the server would; without a body when there is no code. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly code: string;
      readonly headers?: Record<string, string>;
    }
  /** Cuts the connection after so many bytes of the request have passed. */
  | { readonly kind: "cutRequest"; readonly afterBytes: number }
  /** Cuts it after so many bytes of the answer. With 0 the server has done what it was asked, and nobody learns it. */
  | { readonly kind: "cutAnswer"; readonly afterBytes: number }
  /** Changes the first byte of the answer. */
  | { readonly kind: "spoil" }
  | { readonly kind: "delay"; readonly ms: number };

export interface FaultyProxy {
  readonly url: string;
  /** `METHOD /path?query` of all requests so far. */
  readonly requests: string[];
  readonly headers: IncomingMessage["headers"][];
  /** Bytes of bodies that went from the server to those who asked. */
  answeredBytes(): number;
  /** Bytes of bodies that went to the server. */
  sentBytes(): number;
  /** What befalls a request; null for nothing. */
  fault: (request: IncomingMessage) => Fault | null;
  close(): Promise<void>;
}

/** A proxy in front of a real HTTP server, so that a test can make it slow, busy or cut off. */
export async function startFaultyProxy(target: string): Promise<FaultyProxy> {
  const counts = { answered: 0, sent: 0 };
  const http = createServer((request, response) => {
    proxy.requests.push(`${request.method} ${request.url}`);
    proxy.headers.push(request.headers);
    const fault = proxy.fault(request);
    if (fault?.kind === "answer") {
      request.resume();
      response.writeHead(fault.status, { "content-type": "application/xml", ...fault.headers });
      if (fault.code === "") response.end();
      else
        response.end(`<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>${fault.code}</Message></Error>`);
    } else if (fault?.kind === "delay") {
      setTimeout(() => forward(request, response, null), fault.ms);
    } else forward(request, response, fault);
  });

  const forward = (request: IncomingMessage, response: ServerResponse, fault: Fault | null): void => {
    const cut = () => {
      request.socket.destroy();
      onward.destroy();
    };
    const { method = "GET", url = "/", headers } = request;
    // Their Host too, which is signed.
    const onward = send(new URL(target), { method, path: url, headers, setHost: false }, (answer) => {
      if (fault?.kind === "cutAnswer" && fault.afterBytes === 0) return cut();
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      let bytes = 0;
      answer.on("data", (chunk: Buffer) => {
        const left = fault?.kind === "cutAnswer" ? fault.afterBytes - bytes : chunk.length;
        const passed = chunk.subarray(0, left);
        if (fault?.kind === "spoil" && bytes === 0) passed[0] = (passed[0] ?? 0) ^ 1;
        bytes += passed.length;
        counts.answered += passed.length;
        if (left >= chunk.length) response.write(passed);
        else response.write(passed, cut);
      });
      answer.on("end", () => response.end());
      answer.on("error", cut);
    });
    onward.on("error", () => request.socket.destroy());
    response.on("close", () => onward.destroy());
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      counts.sent += chunk.length;
      if (fault?.kind === "cutRequest" && bytes > fault.afterBytes) cut();
    });
    request.pipe(onward);
  };

  await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
  const proxy: FaultyProxy = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    requests: [],
    headers: [],
    answeredBytes: () => counts.answered,
    sentBytes: () => counts.sent,
    fault: () => null,
    async close() {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
  return proxy;
}
