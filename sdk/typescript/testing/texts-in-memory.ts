import type { Texts } from "../program/texts.ts";

/** Files that hold encoded values, without a disk. */
export function textsInMemory(): Texts & { readonly files: Map<string, string> } {
  const files = new Map<string, string>();
  return {
    files,
    read(path) {
      const text = files.get(path);
      if (text === undefined) throw new Error(`There is no file ${path}`);
      return text;
    },
    write(folder, text) {
      const path = `${folder}/value-${files.size + 1}.json`;
      files.set(path, text);
      return path;
    },
  };
}
