/** What the daemons of a lab have written, kept beside the records when a run broke a promise: the lab itself does not outlast the campaign. */
import { cp, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Lab } from '#lab/api.ts';

/** Copies the logs of the controller and of every host into `FILE.logs/NAME`. Resolves with that folder. */
export async function keepLogs(lab: Lab, file: string, name: string): Promise<string> {
  const folder = join(`${file}.logs`, name);
  const sources = [
    { from: join(dirname(lab.controllerSocket ?? ''), 'log'), to: join(folder, 'controller') },
    ...lab.hosts.map((host) => ({ from: join(host.directory, 'log'), to: join(folder, host.name) })),
  ];
  await mkdir(folder, { recursive: true });
  for (const { from, to } of sources) await cp(from, to, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  return folder;
}
