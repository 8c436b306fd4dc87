/** Plays all property tests of the product from one seed after the other, and names the seeds that broke a law. */
import { spawn } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { optionsOf } from '#bench/options.ts';

/** Suites of laws, by what they import. */
function lawSuites(): readonly string[] {
  return globSync('src/**/*.test.ts').filter((path) => readFileSync(path, 'utf8').includes("from 'fast-check'"));
}

function playFrom(seed: number, suites: readonly string[], signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn('vitest', ['run', '--project', 'unit', '--reporter=dot', ...suites], {
      stdio: ['ignore', 'pipe', 'pipe'],
      signal,
      env: { ...process.env, PLIMSOLL_LAW_SEED: String(seed) },
    });
    const said: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk));
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code !== 0) process.stdout.write(Buffer.concat(said));
      resolve(code === 0);
    });
  });
}

async function run(given: Readonly<Record<string, string>>): Promise<void> {
  const { from = '2', seeds = '10' } = given;
  const suites = lawSuites();
  const broken: number[] = [];
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  console.log(`${suites.length} suites of laws, seeds ${from} to ${Number(from) + Number(seeds) - 1}`);
  for (let seed = Number(from); seed < Number(from) + Number(seeds); seed += 1) {
    const isKept = await playFrom(seed, suites, stop.signal);
    console.log(`seed ${seed}: ${isKept ? 'kept' : 'BROKEN'}`);
    if (!isKept) broken.push(seed);
  }
  console.log(broken.length === 0 ? 'laws broken: none' : `laws broken from seeds ${broken.join(', ')}: PLIMSOLL_LAW_SEED=N npm run unit`);
  if (broken.length > 0) process.exitCode = 1;
}

const options = optionsOf({
  name: 'laws',
  script: 'laws',
  does: 'Plays every property test from other seeds than the one that the tests use.',
  options: {
    seeds: { value: 'N', does: 'how many seeds (default: 10)', max: 100_000 },
    from: { value: 'N', does: 'the first one (default: 2)', max: 2_000_000_000 },
  },
  needsLab: false,
});
if (options !== null) await run(options);
