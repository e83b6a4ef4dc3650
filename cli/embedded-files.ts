/**
 * The files of this installation that are inside of its executable: their texts, by their names relative to its folder.
 * Null in a clone and in the npm package, where they are files. The bundle of the executable has its own text of this module.
 */
export const embeddedFiles: Readonly<Record<string, string>> | null = null;
