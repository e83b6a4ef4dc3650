export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

export interface CommandWords {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly summary: string;
  readonly flags: readonly string[];
  readonly subcommands: readonly {
    readonly name: string;
    readonly summary: string;
    readonly flags: readonly string[];
  }[];
}

export function completionScript(shell: Shell, commands: readonly CommandWords[]): string {
  return shell === "bash" ? bashScript(commands) : shell === "zsh" ? zshScript(commands) : fishScript(commands);
}

const topWords = (commands: readonly CommandWords[]): string[] => [
  ...commands.flatMap((command) => [command.name, ...command.aliases]),
  "help",
];

/** Words after a command, and after a command and its subcommand, as lines of a shell's `case`. */
function caseLines(commands: readonly CommandWords[], word: (words: readonly string[]) => string): string {
  const lines = commands.flatMap((command) => [
    ...command.subcommands.map((sub) => `    "${command.name} ${sub.name}") ${word(sub.flags)} ;;`),
    `    ${[command.name, ...command.aliases].map((name) => `"${name} "*`).join("|")}) ${word([...command.subcommands.map((sub) => sub.name), ...command.flags])} ;;`,
  ]);
  return lines.join("\n");
}

const bashScript = (commands: readonly CommandWords[]): string => `# salt completion for bash
_salt() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${topWords(commands).join(" ")}" -- "$current"))
    return
  fi
  local second=""
  [ "$COMP_CWORD" -gt 2 ] && second="\${COMP_WORDS[2]}"
  case "\${COMP_WORDS[1]} $second" in
${caseLines(commands, (words) => `words="${words.join(" ")}"`)}
    *) words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _salt salt
`;

const zshScript = (commands: readonly CommandWords[]): string => `#compdef salt
_salt() {
  if (( CURRENT == 2 )); then
    local -a commands
    commands=(
${commands.map((command) => `      '${command.name}:${quoted(command.summary)}'`).join("\n")}
    )
    _describe command commands
    return
  fi
  local second=""
  (( CURRENT > 3 )) && second="$words[3]"
  case "$words[2] $second" in
${caseLines(commands, (words) => `compadd -- ${words.join(" ")}`)}
    *) _files ;;
  esac
}
compdef _salt salt
`;

const quoted = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(":", "\\:");

function fishScript(commands: readonly CommandWords[]): string {
  const lines = commands.flatMap((command) => [
    `complete -c salt -n __fish_use_subcommand -f -a ${command.name} -d '${fishQuoted(command.summary)}'`,
    ...command.subcommands.map(
      (sub) =>
        `complete -c salt -n '__fish_seen_subcommand_from ${command.name}' -f -a ${sub.name} -d '${fishQuoted(sub.summary)}'`,
    ),
    ...[...new Set([...command.flags, ...command.subcommands.flatMap((sub) => sub.flags)])].map(
      (flag) => `complete -c salt -n '__fish_seen_subcommand_from ${command.name}' -l ${flag.slice(2)}`,
    ),
  ]);
  return `# salt completion for fish\n${lines.join("\n")}\n`;
}

const fishQuoted = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("'", "\\'");
