const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

interface SourceMap {
  readonly version: 3;
  readonly sources: readonly string[];
  readonly mappings: string;
}

/**
 * A source map (ECMA-426) with the segments of some sources only. Where the rest was, segments without a source say that
 * nothing is known. Names are dropped.
 */
export function trimSourceMap(text: string, keeps: (source: string) => boolean): string {
  const map = JSON.parse(text) as SourceMap;
  const kept = map.sources.filter(keeps);
  const numbers = map.sources.map((source) => kept.indexOf(source));
  return JSON.stringify({ version: 3, sources: kept, names: [], mappings: trimMappings(map.mappings, numbers) });
}

/** `numbers` holds the new number of each source, -1 where it is dropped. */
function trimMappings(mappings: string, numbers: readonly number[]): string {
  // Source, line and column run on over lines; the generated column begins anew in each.
  let [source, line, column] = [0, 0, 0];
  let [newSource, newLine, newColumn] = [0, 0, 0];
  const trimLine = (segments: string): string => {
    let [generated, newGenerated] = [0, 0];
    let silent = true;
    const out: string[] = [];
    for (const segment of segments.split(",").filter((part) => part !== "")) {
      const [generatedBy = 0, sourceBy = 0, lineBy = 0, columnBy = 0] = decodeSegment(segment);
      generated += generatedBy;
      [source, line, column] = [source + sourceBy, line + lineBy, column + columnBy];
      const number = numbers[source] ?? -1;
      if (number < 0 && silent) continue;
      const fields = [generated - newGenerated];
      if (number >= 0) fields.push(number - newSource, line - newLine, column - newColumn);
      if (number >= 0) [newSource, newLine, newColumn] = [number, line, column];
      newGenerated = generated;
      silent = number < 0;
      out.push(encodeSegment(fields));
    }
    return out.join(",");
  };
  return mappings.split(";").map(trimLine).join(";");
}

/** Base 64 digits of five bits each, the lowest first; the sixth bit says that more follow, the lowest is the sign. */
function decodeSegment(segment: string): number[] {
  const fields: number[] = [];
  let value = 0;
  let shift = 0;
  for (const character of segment) {
    const digit = digits.indexOf(character);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    fields.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return fields;
}

function encodeSegment(fields: readonly number[]): string {
  let text = "";
  for (const field of fields) {
    let value = field < 0 ? (-field << 1) | 1 : field << 1;
    do {
      const digit = value & 31;
      value >>>= 5;
      text += digits[value > 0 ? digit | 32 : digit];
    } while (value > 0);
  }
  return text;
}
