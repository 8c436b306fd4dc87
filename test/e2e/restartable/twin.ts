/** The same VM again, on another host, by hand and past the product: what its storage lock is there for. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Lab } from '#lab/api.ts';
import { run, type RunResult } from '#lab/process.ts';

/** As it was defined first, with its lease or without. */
export async function startTwin(lab: Lab, guest: string, host: string, withLease: boolean): Promise<RunResult> {
  const folder = join(dirname(lab.controllerSocket ?? ''), 'definitions');
  const definition = await readFile(join(folder, `${guest}.xml`), 'utf8');
  const path = join(folder, `${guest}.twin.xml`);
  await writeFile(path, withLease ? definition : definition.replace(/<lease>.*<\/lease>/u, ''), { mode: 0o600 });
  return run(['virsh', '-q', '-c', `qemu+unix:///system?socket=${lab.host(host).libvirtSocket}`, 'create', path]);
}
