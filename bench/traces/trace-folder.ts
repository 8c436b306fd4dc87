import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Streams } from '#sim/random.ts';
import { shuffled } from './shuffled.ts';
import { readingsPerDay } from './trace.ts';
import type { Trace, TraceSet } from './trace.ts';

const suffix = '.u8.gz';

/** The format, as the help tells it. */
export const folderFormat = [
  'A day of traces is a file NAME.u8.gz: gzip of one byte for each reading, percent from 0 to 100; one row of 288 readings (five minutes',
  'each) for each VM, row after row. The PlanetLab days that are published with CloudSim (Beloglazov and Buyya, 2012) have these readings',
  'as text.',
].join('\n');

/** The days of a folder, by name. Throws RangeError when it holds none or a file is not of the format. */
export async function tracesOfFolder(folder: string): Promise<readonly TraceSet[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(suffix)).toSorted();
  if (names.length === 0) throw new RangeError(`${folder} holds no file *${suffix}`);
  return Promise.all(
    names.map(async (name) => {
      const rows = rowsOf(name, gunzipSync(await readFile(path.join(folder, name))));
      return { name: name.slice(0, -suffix.length), traces: (seed) => drawn(rows, seed) };
    }),
  );
}

export function rowsOf(name: string, readings: Uint8Array): readonly Trace[] {
  if (readings.length === 0 || readings.length % readingsPerDay !== 0)
    throw new RangeError(`${name} holds ${readings.length} readings, not rows of ${readingsPerDay}`);
  if (readings.some((percent) => percent > 100)) throw new RangeError(`${name} has a reading above 100 percent`);
  return Array.from({ length: readings.length / readingsPerDay }, (_, row) =>
    readings.subarray(row * readingsPerDay, (row + 1) * readingsPerDay),
  );
}

/** In the seed's order; a cluster that needs more VMs than the day has takes them again. */
function* drawn(rows: readonly Trace[], seed: number): Generator<Trace, never> {
  const order = shuffled(rows, new Streams(seed).stream('trace-order'));
  for (;;) yield* order;
}
