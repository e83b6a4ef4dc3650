/** Words of a name: `from-agent.v2`, `from_agent` and `fromAgent` have the same ones, save for case. */
const wordsOf = (text: string): string[] =>
  text
    .normalize("NFKC")
    .replaceAll(/([\p{Ll}\p{Nd}])(\p{Lu})/gu, "$1 $2")
    .split(/[^\p{L}\p{Nd}]+/u)
    .filter((word) => word !== "");

const withCapital = (word: string): string => word.slice(0, 1).toUpperCase() + word.slice(1);

/** `run-view` as `RunView`; empty where the text has neither letter nor digit. */
export function typeName(text: string): string {
  const name = wordsOf(text).map(withCapital).join("");
  return /^\p{Nd}/u.test(name) ? `T${name}` : name;
}

/** `word-count` as `wordCount`, what TypeScript calls a function. A first word in capitals stays. */
export function functionName(text: string): string {
  const [first = "", ...rest] = wordsOf(text);
  const begin = /^\p{Lu}{2}/u.test(first) ? first : first.slice(0, 1).toLowerCase() + first.slice(1);
  return begin + rest.map(withCapital).join("");
}

/** `wordCount` as `word_count`, what Python calls a function, a module and a package. */
export function snakeName(text: string): string {
  const name = wordsOf(text).join("_").toLowerCase();
  return /^\p{Nd}/u.test(name) ? `_${name}` : name;
}

/** The name, or the first of `name2`, `name3` … that is not taken. It is then. */
export function takeName(name: string, taken: Set<string>): string {
  let free = name;
  for (let count = 2; taken.has(free); count++) free = `${name}${count}`;
  taken.add(free);
  return free;
}

/** Words that no parameter, field of a class or module can be called. */
export const pythonKeywords: ReadonlySet<string> = new Set(
  (
    "False None True and as assert async await break class continue def del elif else except finally for from global " +
    "if import in is lambda nonlocal not or pass raise return try while with yield"
  ).split(" "),
);

/** The name of a module or package, for a file or folder. */
export function pythonModuleName(name: string): string {
  const snake = snakeName(name);
  return pythonKeywords.has(snake) ? `${snake}_` : snake;
}
