/**
 * Manual pages, made of the commands: man(7) as groff and mandoc read it.
 *
 * One page for each command (quarry-fsck(8), quarry-lab-run(8)), and one for the whole. What the
 * help shows behind the options is set as it is there.
 */
import {
  type CommandFamily,
  type CommandLine,
  type CommandWords,
  isFamily,
  optionsOf,
} from './command-words.ts';

const SECTION = 8;

/** A page by its file name. */
export interface ManPage {
  readonly file: string;
  readonly text: string;
}

/** Text in which nothing is a request, an escape, or a hyphen that could be broken. */
function literal(text: string): string {
  return text
    .replace(/\\/g, '\\e')
    .replace(/-/g, '\\-')
    .replace(/^([.'])/gm, '\\&$1');
}

const bold = (text: string) => `\\fB${literal(text)}\\fR`;
const italic = (text: string) => `\\fI${literal(text)}\\fR`;

function heading(name: string, version: string): string {
  return `.TH ${literal(name.toUpperCase())} ${SECTION} "" "quarryfs ${literal(version)}" "System Administration"\n`;
}

function section(title: string, body: string): string {
  return `.SH ${title}\n${body}`;
}

function item(tag: string, text: string): string {
  return `.TP\n${tag}\n${literal(text)}\n`;
}

function synopsisOf(words: string, command: CommandWords): string {
  const args = command.arguments.map(({ name, optional }) => (optional ? `[${italic(name)}]` : italic(name)));
  return `${[bold(words), '[options]', ...args].join(' ')}\n`;
}

function optionItems(command: CommandWords): string {
  const items = optionsOf(command).map(({ short, long, value, text }) => {
    const names = [short && bold(`-${short}`), long && bold(`--${long}`)].filter(Boolean).join(', ');
    return item(value === undefined ? names : `${names} ${italic(value)}`, text);
  });
  return items.join('');
}

/** Lines as they are. */
function asIs(text: string): string {
  return `.nf\n${literal(text)}\n.fi\n`;
}

function pageOf(words: string, command: CommandWords, version: string): ManPage {
  const name = words.replace(/ /g, '-');
  const args = command.arguments.map((argument) => item(italic(argument.name), argument.text)).join('');
  const parts = [
    heading(name, version),
    section('NAME', `${literal(name)} \\- ${literal(command.summary)}\n`),
    section('SYNOPSIS', synopsisOf(words, command)),
    args === '' ? '' : section('ARGUMENTS', args),
    section('OPTIONS', optionItems(command)),
    command.notes === undefined ? '' : section('NOTES', asIs(command.notes)),
    section('SEE ALSO', `${bold('quarry')}(${SECTION})\n`),
  ];
  return { file: `${name}.${SECTION}`, text: parts.join('') };
}

function familyPage(family: CommandFamily, version: string): ManPage {
  const name = `quarry-${family.name}`;
  const members = family.members.map((member) => item(bold(`${name}-${member.name}`), member.summary));
  const parts = [
    heading(name, version),
    section('NAME', `${literal(name)} \\- ${literal(family.summary)}\n`),
    section('SYNOPSIS', `${bold(`quarry ${family.name}`)} ${italic('command')} [options]\n`),
    section('COMMANDS', members.join('')),
  ];
  return { file: `${name}.${SECTION}`, text: parts.join('') };
}

function mainPage({ version, commands }: CommandLine): ManPage {
  const items = commands.map(({ name, summary }) => item(`${bold(`quarry ${name}`)}`, summary));
  const pages = commands.map(({ name }) => `${bold(`quarry-${name}`)}(${SECTION})`).join(',\n');
  const about =
    'Quarry is a POSIX filesystem in user space, on a block device or an image file. ' +
    'A volume is made by mkfs, mounted on a directory through FUSE, and checked by fsck.';
  const parts = [
    heading('quarry', version),
    section('NAME', 'quarry \\- make, mount, check and study volumes of the Quarry filesystem\n'),
    section('SYNOPSIS', `${bold('quarry')} ${italic('command')} [options]\n`),
    section('DESCRIPTION', `${literal(about)}\n`),
    section('COMMANDS', items.join('')),
    section(
      'ENVIRONMENT',
      item(bold('NO_COLOR'), 'no colours') + item(bold('QUARRY_DEBUG'), 'errors say where they came from'),
    ),
    section('SEE ALSO', `${pages},\n${bold('mount')}(8), ${bold('fsck')}(8), ${bold('fuse')}(4)\n`),
  ];
  return { file: `quarry.${SECTION}`, text: parts.join('') };
}

/** @returns a page for each command, one for the whole, and `.so` links for what mount(8) calls */
export function manPages(line: CommandLine): ManPage[] {
  const { version, commands } = line;
  const pages = commands.flatMap((command) => {
    if (!isFamily(command)) return [pageOf(`quarry ${command.name}`, command, version)];
    const members = command.members.map((one) => pageOf(`quarry ${command.name} ${one.name}`, one, version));
    return [familyPage(command, version), ...members];
  });
  const links = ['mkfs', 'mount', 'fsck'].map((name) => ({
    file: `${name}.quarry.${SECTION}`,
    text: `.so man${SECTION}/quarry-${name}.${SECTION}\n`,
  }));
  return [mainPage(line), ...pages, ...links];
}
