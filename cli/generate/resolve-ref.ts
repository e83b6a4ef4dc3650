import { type Declared, invalid, type Place } from "./place.ts";

/** The declared type that a `$ref` at this place means. Throws SaltError `InvalidInput` naming both. */
export function resolveRef(place: Place, ref: unknown): Declared {
  const { document, build } = place;
  const fail = (problem: string, next: string): never => {
    throw invalid(document, place.pointer, problem, next);
  };
  if (typeof ref !== "string") return fail("it is not a string", "name a file or a definition: #/$defs/Name");
  const url = URL.parse(ref, document.url);
  if (url === null) return fail(`'${ref}' is not an address`, "name a file or a definition: other.json#/$defs/Name");
  const pointer = decode(url.hash.slice(1));
  url.hash = "";
  const found = build.declared.get(`${url.href}#${pointer}`);
  if (found !== undefined) return found;
  const others = [...build.declared.values()].filter((one) => one.document.url === url.href);
  const [other] = others;
  if (other === undefined) {
    return fail(`'${ref}' leads to no schema of the input`, "name a file by its path from here; nothing is fetched");
  }
  const known = others.map((one) => `#${one.pointer}`).slice(0, 10);
  return fail(
    `'${ref}' leads to nothing that ${other.document.label} defines`,
    `refer to a whole file or to one of its $defs: ${known.join(", ")}`,
  );
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
