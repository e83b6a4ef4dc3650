import path from "node:path";

/** Beside the file, so that a rename is all that is left to do; with the ending by which a system knows how to execute it. */
export const partialOf = (file: string): string => path.join(path.dirname(file), `.partial-${path.basename(file)}`);
