import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeChunk, wholeCharacters } from "./log-chunk.ts";

test("A44 text cut anywhere into chunks at whole characters is text in every chunk, and the same in all", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", minLength: 1 }), fc.integer({ min: 4, max: 9 }), (text, size) => {
      const bytes = Buffer.from(text);
      let joined = "";
      for (let from = 0; from < bytes.length; ) {
        const window = bytes.subarray(from, from + size);
        const whole = from + size >= bytes.length ? window.length : wholeCharacters(window);
        const chunk = encodeChunk(window.subarray(0, whole));
        if (!("text" in chunk)) return false;
        joined += chunk.text;
        from += whole;
      }
      return joined === bytes.toString();
    }),
  );
});

test("A44 any bytes come back from their chunk", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const chunk = encodeChunk(bytes);
      const back = "text" in chunk ? Buffer.from(chunk.text) : Buffer.from(chunk.base64, "base64");
      return back.equals(bytes);
    }),
  );
  expect(encodeChunk(Buffer.from([0xff]))).toEqual({ base64: "/w==" });
});
