/**
 * Completions for bash, zsh and fish, made of the commands: command, subcommand, options; files for
 * everything else.
 */
import {
  type CommandLine,
  type CommandWords,
  isFamily,
  type OptionWords,
  optionsOf,
} from './command-words.ts';

/** A command with the words that name it, and how many there are before its own. */
interface Leaf {
  readonly words: readonly string[];
  readonly command: CommandWords;
}

function leavesOf({ commands }: CommandLine): Leaf[] {
  return commands.flatMap((command): Leaf[] =>
    isFamily(command)
      ? command.members.map((member) => ({ words: [command.name, member.name], command: member }))
      : [{ words: [command.name], command }],
  );
}

function dashed({ short, long }: OptionWords): string[] {
  return [...(short === undefined ? [] : [`-${short}`]), ...(long === undefined ? [] : [`--${long}`])];
}

/** In single quotes of the shell. */
function quoted(text: string): string {
  return `'${text.replace(/'/g, `'\\''`)}'`;
}

export function bashCompletion(line: CommandLine): string {
  const names = line.commands.map(({ name }) => name).join(' ');
  const families = line.commands.filter(isFamily).map(({ name, members }) => {
    return `    ${name}) [[ $COMP_CWORD -eq 2 ]] && words='${members.map((member) => member.name).join(' ')}' ;;\n`;
  });
  const leaves = leavesOf(line).map(({ words, command }) => {
    const options = optionsOf(command).flatMap(dashed).join(' ');
    return `    '${words.join(' ')}') options='${options}' ;;\n`;
  });
  return `# bash completion for quarry; made by 'quarry install'
_quarry() {
  local current=\${COMP_WORDS[COMP_CWORD]} words='' options=''
  if [[ $COMP_CWORD -eq 1 ]]; then words='${names}'; fi
  case \${COMP_WORDS[1]} in
${families.join('')}  esac
  case "\${COMP_WORDS[1]} \${COMP_WORDS[2]}" in
${leaves.filter((_, i) => leavesOf(line)[i]?.words.length === 2).join('')}  esac
  case \${COMP_WORDS[1]} in
${leaves.filter((_, i) => leavesOf(line)[i]?.words.length === 1).join('')}  esac
  if [[ $current == -* ]]; then words=$options; fi
  COMPREPLY=()
  while IFS= read -r word; do [[ -n $word ]] && COMPREPLY+=("$word"); done < <(compgen -W "$words" -- "$current")
}
complete -o default -o bashdefault -F _quarry quarry
`;
}

function zshText(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&');
}

function zshOption(option: OptionWords): string {
  const names = dashed(option);
  const value = option.value === undefined ? '' : `:${zshText(option.value)}:_files`;
  const one = (name: string) => quoted(`${name}[${zshText(option.text)}]${value}`);
  if (names.length < 2) return one(names[0] ?? '');
  return names.map((name) => `'(${names.join(' ')})'${one(name)}`).join(' ');
}

function zshArguments(command: CommandWords): string {
  return [...optionsOf(command).map(zshOption), "'*:file:_files'"].join(' \\\n        ');
}

export function zshCompletion(line: CommandLine): string {
  const described = (all: readonly { name: string; summary: string }[]) =>
    all.map(({ name, summary }) => quoted(`${name}:${summary.replace(/:/g, '\\:')}`)).join(' ');
  const cases = line.commands.map((command) => {
    if (!isFamily(command))
      return `    ${command.name})\n      _arguments ${zshArguments(command)}\n      ;;\n`;
    const members = command.members.map((member) => {
      return `        ${member.name}) _arguments ${zshArguments(member)} ;;\n`;
    });
    return `    ${command.name})
      if (( CURRENT == 2 )); then
        commands=(${described(command.members)})
        _describe -t commands command commands
        return
      fi
      shift words; (( CURRENT-- ))
      case $words[1] in
${members.join('')}      esac
      ;;
`;
  });
  return `#compdef quarry
# Made by 'quarry install'.
_quarry() {
  local -a commands
  if (( CURRENT == 2 )); then
    commands=(${described(line.commands)})
    _describe -t commands command commands
    return
  fi
  shift words; (( CURRENT-- ))
  case $words[1] in
${cases.join('')}  esac
}
_quarry "$@"
`;
}

function fishText(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

function fishOptions({ words, command }: Leaf): string[] {
  const condition = words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
  return optionsOf(command).map(({ short, long, value, text }) => {
    const names = `${short === undefined ? '' : ` -s ${short}`}${long === undefined ? '' : ` -l ${long}`}`;
    return `complete -c quarry -n ${fishText(condition)}${names}${value === undefined ? '' : ' -r'} -d ${fishText(text)}`;
  });
}

export function fishCompletion(line: CommandLine): string {
  const lines = ["# fish completion for quarry; made by 'quarry install'"];
  for (const { name, summary } of line.commands)
    lines.push(`complete -c quarry -n __fish_use_subcommand -a ${name} -d ${fishText(summary)}`);
  for (const family of line.commands.filter(isFamily)) {
    const others = family.members.map(({ name }) => name).join(' ');
    const condition = `__fish_seen_subcommand_from ${family.name}; and not __fish_seen_subcommand_from ${others}`;
    for (const { name, summary } of family.members)
      lines.push(`complete -c quarry -n ${fishText(condition)} -f -a ${name} -d ${fishText(summary)}`);
  }
  lines.push(...leavesOf(line).flatMap(fishOptions));
  return `${lines.join('\n')}\n`;
}
