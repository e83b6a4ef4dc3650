/** One server-sent event. */
export interface ServerEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

const eventCharsMax = 16 * 1024 * 1024;

/** Reads server-sent events (WHATWG HTML, section 9.2) from a stream of bytes. Comments are passed over. */
export async function* readEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let rest = "";
  let fields = { id: "", event: "message", data: [] as string[] };
  for await (const chunk of bytes) {
    rest += decoder.decode(chunk, { stream: true });
    // A CR at the end may be the first half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    if (rest.length > eventCharsMax) throw new Error(`an event is longer than ${eventCharsMax} characters`);
    for (const line of lines) {
      if (line === "") {
        if (fields.data.length > 0) yield { ...fields, data: fields.data.join("\n") };
        fields = { id: fields.id, event: "message", data: [] };
      } else {
        readField(fields, line);
      }
    }
  }
}

function readField(fields: { id: string; event: string; data: string[] }, line: string): void {
  const colon = line.indexOf(":");
  const name = colon < 0 ? line : line.slice(0, colon);
  const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
  if (name === "data") fields.data.push(value);
  else if (name === "id" && !value.includes("\0")) fields.id = value;
  else if (name === "event") fields.event = value;
}
