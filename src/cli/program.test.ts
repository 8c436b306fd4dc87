import { CommanderError } from 'commander';
import { expect, test } from 'vitest';
import { createProgram } from './program.ts';

async function written(line: string): Promise<{ readonly exitCode: number; readonly text: string }> {
  let text = '';
  const write = (part: string) => {
    text += part;
  };
  try {
    await createProgram({ writeOut: write, writeErr: write, getOutHelpWidth: () => 100 }).parseAsync(line.split(' '), { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return { exitCode: error.exitCode, text };
    throw error;
  }
  throw new Error(`plimsoll ${line} was accepted`);
}

test.each([
  ['hots list', "plimsoll: usage: unknown command 'hots' (Did you mean host?)\n"],
  ['host lits', "plimsoll: usage: unknown command 'lits' (Did you mean list?)\n"],
  ['host list --wacht', "plimsoll: usage: unknown option '--wacht' (Did you mean --watch?)\n"],
  ['host show', "plimsoll: usage: missing required argument 'host'\n"],
  ['host token host-c --lifetime soon', 'Write a length of time such as 90s, 30m, 1h or 2d.'],
  ['migration list --limit 0', 'Write a whole number from 1 to 1000.'],
  ['migrate web1 --method postcopy', 'Allowed choices are auto, pre-copy, hybrid, post-copy, stop-and-copy, save-restore.'],
  ['migrate web1 --preset brave', 'Allowed choices are gentle, balanced, must-move.'],
  ['migrate web1 --streams 0', 'Write a whole number from 1 to 64.'],
  ['migrate web1 --streams 65', 'Write a whole number from 1 to 64.'],
  ['migrate web1 --compression gzip', 'Allowed choices are none, xbzrle, mt, zlib, zstd.'],
  ['migrate web1 --bandwidth 100', 'with a unit such as 100MiB, 12.5MB or 800Mbit'],
  ['migrate web1 --bandwidth 0MiB', 'or none for no cap'],
  ['migrate web1 --downtime 300', 'Write a length of time such as 300ms or 2s.'],
  ['migrate web1 --downtime 0s', 'Write a length of time such as 300ms or 2s.'],
  ['history --since yesterday', 'Write a date such as 2026-11-01'],
  ['history --until 2026-02-30', 'Write a date such as 2026-11-01'],
  ['history --outcome lost', 'Allowed choices are moved, stayed, unclear.'],
  ['history --limit 1001', 'Write a whole number from 1 to 1000.'],
  ['history -o xml', 'Allowed choices are table, json, csv.'],
  ['migration list -o csv', 'Allowed choices are table, json.'],
  ['vm set web1 --address web1', 'Write an IP address such as 192.0.2.7, or none.'],
  ['vm set web1 --address fe80::1%eth0', 'Write an IP address such as 192.0.2.7, or none.'],
  ['vm set web1 --restartable maybe', 'Write yes or no.'],
  ['vm set web1 --class Gold', 'Write the name of a class of policy.classes such as critical, or none.'],
  ['vm set web1 --tenant a,b', 'Write up to 64 small letters, digits, dots, dashes and underscores such as acme, or none.'],
  ['vm check', "missing required argument 'vm'"],
  ['mode reckless', 'Allowed choices are observe, approve, automatic.'],
  ['status -o xml', 'Allowed choices are table, json.'],
  ['channel prove a', "missing required argument 'host'"],
  ['channel tune a b --profile esp', 'Allowed choices are esp-tunnel, esp-transport, ah, ah+esp.'],
  ['host revoke a', "required option '--reason <text>' not specified"],
  ['receipt verify r.json', "required option '--ca <file>' not specified"],
  ['sim --seed x', 'Write a whole number of at most 15 digits.'],
  ['sim --seed 1 --hosts 1', 'Write a whole number from 2 to 200.'],
  ['sim', "required option '--seed <n>' not specified"],
  ['sim run', "missing required argument 'folder'"],
  ['sim run x -o table', 'Allowed choices are text, json.'],
  ['sim soak --seeds 0', 'Write a whole number from 1.'],
  ['snapshot save', "missing required argument 'file'"],
  ['snapshot export a.json', "missing required argument 'to'"],
  ['snapshot show a.json -o text', 'Allowed choices are table, json.'],
  ['agent join --token-file -', "required option '--ca-fingerprint <fingerprint>' not specified"],
])('plimsoll %s is refused in one line that says what to do', async (line, expected) => {
  const { exitCode, text } = await written(line);
  expect(exitCode).not.toBe(0);
  expect(text).toContain(expected);
  expect(text).toMatch(/^plimsoll: usage: [^\n]*\n$/);
});

test.each([
  '--help',
  'plan --help',
  'migrate --help',
  'migration --help',
  'vm check --help',
  'vm set --help',
  'history --help',
  'host token --help',
  'host join --help',
  'channel --help',
  'grant --help',
  'receipt --help',
  'mode --help',
  'sim --help',
  'sim run --help',
  'snapshot --help',
])('plimsoll %s shows examples', async (line) => {
  const { exitCode, text } = await written(line);
  expect(exitCode).toBe(0);
  expect(text).toContain('Examples:');
});

test('every command says what it is for', () => {
  const program = createProgram();
  const all = [...program.commands, ...program.commands.flatMap((command) => command.commands)];
  expect(all.length).toBeGreaterThan(20);
  for (const command of all) expect(command.description(), command.name()).not.toBe('');
});
