/** CPU of VMs over time, to forecast: from files, or generated with what is known of real ones. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Percent of a VM's CPU, one reading for each five minutes. */
export type Trace = Uint8Array;

const readingsPerDay = 288;
const fileEnd = '.u8.gz';

/** Each `*.u8.gz` of the folder holds rows of 288 bytes, a day of one VM each. Throws where there is none, or one is of another size. */
export async function tracesIn(folder: string): Promise<readonly Trace[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(fileEnd)).toSorted();
  if (names.length === 0) throw new Error(`there is no *${fileEnd} in ${folder}`);
  const traces: Trace[] = [];
  for (const name of names) {
    const data = gunzipSync(await readFile(join(folder, name)));
    if (data.length === 0 || data.length % readingsPerDay !== 0)
      throw new Error(`${name} does not hold whole days of ${readingsPerDay} bytes`);
    for (let at = 0; at < data.length; at += readingsPerDay) traces.push(data.subarray(at, at + readingsPerDay));
  }
  return traces;
}

/** Numerical Recipes' 32-bit linear congruential generator: the same VMs in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * A third each: bursty (a low load with bursts that last, mean about 10 %, up to 99 %, as on PlanetLab: Beloglazov, Buyya 2012), busy by
 * day and quiet by night, and steady.
 */
export function generatedTraces(vms: number, days: number): readonly Trace[] {
  const random = seeded(11);
  const kinds = [burstyTrace, dailyTrace, steadyTrace] as const;
  return Array.from({ length: vms }, (_, index) => (kinds[index % kinds.length] ?? steadyTrace)(days * readingsPerDay, random));
}

function burstyTrace(readings: number, random: () => number): Trace {
  const low = 2 + random() * 8;
  const begins = 0.005 + random() * 0.03;
  const ends = 0.1 + random() * 0.4;
  let height = 0;
  return traceOf(readings, () => {
    if (height > 0 && random() < ends) height = 0;
    else if (height === 0 && random() < begins) height = 20 + random() * 79;
    return low + height * (0.8 + 0.4 * random()) + 2 * random();
  });
}

function dailyTrace(readings: number, random: () => number): Trace {
  const [low, high] = [5 + random() * 10, 30 + random() * 50];
  const shift = random() * readingsPerDay;
  return traceOf(readings, (index) => {
    const wave = (1 - Math.cos((2 * Math.PI * (index + shift)) / readingsPerDay)) / 2;
    return low + (high - low) * wave ** 2 + 6 * (random() - 0.5);
  });
}

function steadyTrace(readings: number, random: () => number): Trace {
  const mean = 5 + random() * 60;
  const noise = random() * 4;
  return traceOf(readings, () => mean + noise * (random() - 0.5));
}

function traceOf(readings: number, percentAt: (index: number) => number): Trace {
  return Uint8Array.from({ length: readings }, (_, index) => Math.round(Math.min(100, Math.max(0, percentAt(index)))));
}
