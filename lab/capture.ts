import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { LabError } from './errors.ts';
import type { Layout } from './layout.ts';
import type { Machine } from './machine.ts';
import { waitFor } from './wait.ts';

export interface Capture {
  readonly file: string;
  /** Ends the capture; the file is complete when this returns. */
  stop(): Promise<string>;
}

/** Records every packet on the underlay, whole, to a file of the lab. Names may be used again after `stop`. */
export async function startCapture(lab: Layout, machine: Machine, name: string, signal?: AbortSignal): Promise<Capture> {
  if (!/^[a-z0-9-]{1,20}$/.test(name)) throw new LabError('lab-option-invalid', `'${name}' is not a capture name: use a-z, 0-9 and '-'`);
  const folder = join(lab.dataDirectory, 'captures');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${name}.pcap`);
  const log = join(lab.runDirectory, 'log', `capture-${name}.log`);
  const service = `capture-${name}`;
  const seen = (await readFile(log, 'utf8').catch(() => '')).length;
  await machine.startService({
    name: service,
    // -B: KiB of kernel buffer; a migration over a fast bridge comes in bursts. -Z root: the folder belongs to root.
    argv: ['tcpdump', '-i', 'br0', '-s', '0', '-B', '65536', '-n', '-w', file, '-Z', 'root', '--immediate-mode'],
    restart: 'never',
    log,
  });
  const listening = async (): Promise<boolean> => (await readFile(log, 'utf8').catch(() => '')).slice(seen).includes('listening on');
  await waitFor(listening, { what: `tcpdump (its log: ${log})`, timeoutMs: 10_000, signal });
  return {
    file,
    stop: async () => {
      await machine.stopService(service);
      return file;
    },
  };
}
