/** The command line in the hands of different persons. */
import { join } from 'node:path';
import { CHECKOUT } from '#lab/layout.ts';
import { run, type RunResult } from '#lab/process.ts';
import type { Cluster } from './cluster.ts';

const plimsoll = join(CHECKOUT, 'bin', 'plimsoll');

/** The command line as this person has it. */
export function asPerson({ lab }: Cluster, name: string, command: readonly string[]): Promise<RunResult> {
  const env = { PLIMSOLL_CONTROLLER: `unix:${lab.controllerSocket}`, SUDO_USER: name };
  return run([plimsoll, ...command], { env });
}

/** What the command answers this person, from its JSON. Throws when it fails. */
export async function answerTo(cluster: Cluster, name: string, command: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await asPerson(cluster, name, [...command, '-o', 'json']);
  if (code !== 0) throw new Error(`plimsoll ${command.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as unknown;
}

/** A grant for everything but IPsec, asked for by one person and approved by another; its id. */
export async function granted(cluster: Cluster, from: string, to: string): Promise<string> {
  const asked = await answerTo(cluster, 'anna', ['grant', 'request', from, to, '--reason', 'to compare', '--lifetime', '30m']);
  if (typeof asked !== 'object' || asked === null || !('grantId' in asked) || typeof asked.grantId !== 'string') {
    throw new Error('the grant has no id');
  }
  await answerTo(cluster, 'bert', ['grant', 'approve', asked.grantId]);
  return asked.grantId;
}
