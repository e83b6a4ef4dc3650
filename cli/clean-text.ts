// biome-ignore-all lint/suspicious/noControlCharactersInRegex: control characters are what this file is about.

/** Escape sequences: OSC, DCS and their like up to their end, CSI, and two-byte ones. */
const sequences =
  /\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x9b[0-?]*[ -/]*[@-~]|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]/g;
const colour = /^\x1b\[[0-9;:]*m$/;
const controls = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;

/**
 * Text of others made fit for a terminal: no sequence that moves the cursor, sets a title or answers back. Colours stay
 * where `colours` allows them; other control characters become `�`.
 */
export function cleanText(text: string, options: { readonly colours?: boolean } = {}): string {
  const kept: string[] = [];
  const marked = text.replace(sequences, (sequence) => {
    if (!options.colours || !colour.test(sequence)) return "";
    kept.push(sequence);
    return "\ue000";
  });
  const cleaned = marked.replace(controls, (character) => (character === "\r" ? "" : "�"));
  return kept.length === 0 ? cleaned : `${cleaned.replace(/\ue000/g, () => kept.shift() ?? "")}\x1b[0m`;
}

/** For one cell or one line. */
export const cleanLine = (text: string): string => cleanText(text).replaceAll(/[\n\t]/g, " ");
