import { LabError } from '#lab/api.ts';
import type { Story } from './story.ts';

export interface Wanted {
  readonly stories: readonly Story[];
  readonly keep: boolean;
  readonly help: boolean;
}

/** @throws LabError `lab-option-invalid` that names what there is. */
export function argumentsOf(args: readonly string[], stories: readonly Story[]): Wanted {
  const only: Story[] = [];
  const flags = new Set<string>();
  for (let at = 0; at < args.length; at += 1) {
    const [flag = '', inline] = (args[at] ?? '').split('=', 2);
    if (flag === '--only') {
      at += inline === undefined ? 1 : 0;
      only.push(storyOf(inline ?? args[at], stories));
    } else if (['--keep', '--help', '-h'].includes(flag) && inline === undefined) flags.add(flag);
    else throw new LabError('lab-option-invalid', `unknown option '${args[at] ?? ''}': there are --only STORY, --keep and --help`);
  }
  const wanted = only.length === 0 ? stories : stories.filter((story) => only.includes(story));
  const keep = flags.has('--keep');
  if (keep && wanted.length > 1) throw new LabError('lab-option-invalid', '--keep leaves one lab up: say which story with --only STORY');
  return { stories: wanted, keep, help: flags.has('--help') || flags.has('-h') };
}

function storyOf(name: string | undefined, stories: readonly Story[]): Story {
  const story = stories.find((one) => one.name === name);
  if (story !== undefined) return story;
  const known = stories.map((one) => one.name).join(', ');
  throw new LabError(
    'lab-option-invalid',
    `${name === undefined ? '--only needs a name' : `there is no story '${name}'`}: they are ${known}`,
  );
}

export function helpText(stories: readonly Story[]): string {
  const width = Math.max(...stories.map(({ name }) => name.length));
  return [
    'Overloads in a real cluster on this machine (libvirtd, QEMU, strongSwan, controller and agents), told as they happen.',
    'Every claim is checked: exit code 1 when one does not hold. Needs root on Debian 12; about 4 minutes for each story.',
    '',
    'Usage: npm run stories -- [--only STORY]... [--keep]',
    '',
    ...stories.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`),
    '',
    '  --only STORY  this one; may be given more than once',
    '  --keep        leave the lab of the one story up',
    '',
    'Examples:',
    '  npm run stories',
    `  npm run stories -- --only ${stories[0]?.name ?? ''}`,
  ].join('\n');
}
