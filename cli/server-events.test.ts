import fc from "fast-check";
import { expect, it } from "vitest";
import { readEvents, type ServerEvent } from "./server-events.ts";

async function eventsOf(text: string, cuts: readonly number[]): Promise<ServerEvent[]> {
  const bytes = Buffer.from(text);
  const marks = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const pieces = marks.slice(1).map((end, index) => bytes.subarray(marks[index], end));
  const events: ServerEvent[] = [];
  for await (const event of readEvents(fc.stream(pieces[Symbol.iterator]()) as never)) events.push(event);
  return events;
}

it("reads the same events however the bytes are cut", async () => {
  const text =
    ': hello\r\n\r\nid: 1\nevent: entry\ndata: {"a":"é"}\n\ndata: x\ndata:y\r\n\r\nid: 2\n\nevent: end\ndata: {}\n\n';
  const events = [
    { id: "1", event: "entry", data: '{"a":"é"}' },
    { id: "1", event: "message", data: "x\ny" },
    { id: "2", event: "end", data: "{}" },
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(200), { maxLength: 10 }), async (cuts) => {
      expect(await eventsOf(text, cuts)).toEqual(events);
    }),
  );
});
