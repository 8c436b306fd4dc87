/**
 * Forecasts the CPU of VMs over the time that is held out (the second half of each trace; each forecast is made before what it is judged
 * by is read) and prints how far off it is, against three simpler ways, and what it costs. node bench/forecast/main.ts --help
 */
import { optionsOf } from '#bench/options.ts';
import { forecastBucketMs, nextVmForecast, type VmForecastState } from '#core/load/vm-forecast.ts';
import { count, newScore, product, rows, type Score } from './rows.ts';
import { generatedTraces, type Trace, tracesIn } from './traces.ts';

const vmsGenerated = 240;
const daysGenerated = 6;
const confidenceSteps = [0, 1, 50, 80, 100];

function heldOut(traces: readonly Trace[], horizonReadings: number): void {
  const scores = new Map<string, Score>(rows.map(({ name }) => [name, newScore()]));
  const byConfidence = confidenceSteps.map(() => ({ ours: newScore(), naive: newScore() }));
  for (const trace of traces) {
    const shares = Array.from(trace, (percent) => percent / 100);
    for (const { name, newForecaster } of rows) {
      const forecaster = newForecaster(horizonReadings);
      for (const [index, share] of shares.slice(0, -horizonReadings).entries()) {
        const guess = forecaster(share, index);
        if (guess === null || index < shares.length / 2) continue;
        const future = shares.slice(index + 1, index + 1 + horizonReadings);
        count(scores.get(name) ?? newScore(), guess, future);
        const { confidencePercent } = guess;
        if (confidencePercent === null) continue;
        const step = byConfidence[confidenceSteps.findLastIndex((least) => confidencePercent >= least)];
        if (step === undefined) continue;
        count(step.ours, guess, future);
        count(step.naive, { mean: share, high: share, confidencePercent: null }, future);
      }
    }
  }
  print(scores, byConfidence);
}

function print(scores: ReadonlyMap<string, Score>, byConfidence: readonly { readonly ours: Score; readonly naive: Score }[]): void {
  console.log(`${'forecast'.padEnd(26)}${['pinball 90 %', 'below high', 'error of mean'].map((title) => title.padStart(15)).join('')}`);
  for (const [name, score] of scores) console.log(lineOf(name, score));
  console.log('');
  console.log(
    `${`${product} by its confidence`.padEnd(26)}${['pinball 90 %', 'below high', 'error of mean', 'against naive', 'forecasts'].map((title) => title.padStart(15)).join('')}`,
  );
  for (const [index, { ours, naive }] of byConfidence.entries()) {
    if (ours.forecasts === 0) continue;
    const upTo = confidenceSteps[index + 1];
    const name = upTo === undefined || upTo === 1 ? `${confidenceSteps[index]} %` : `${confidenceSteps[index]} to ${upTo - 1} %`;
    const gain = `${((ours.meanError / naive.meanError) * 100).toFixed(0)} %`.padStart(15);
    console.log(`${lineOf(name, ours)}${gain}${String(ours.forecasts).padStart(15)}`);
  }
}

function lineOf(name: string, { readings, forecasts, pinball, hits, meanError }: Score): string {
  const figures = [
    `${((100 * pinball) / readings).toFixed(3)} points`,
    `${((100 * hits) / readings).toFixed(1)} %`,
    `${((100 * meanError) / forecasts).toFixed(2)} points`,
  ];
  return name.padEnd(26) + figures.map((figure) => figure.padStart(15)).join('');
}

const roundsBefore = 40;
const roundsTimed = 60;
const vmsWeighed = 100;

/** As the controller has it: each VM one reading each round, a minute apart. CPU time of all threads, so that a busy machine changes little. */
function cost(traces: readonly Trace[], vms: number, horizonMs: number): void {
  const states: (VmForecastState | null)[] = Array.from({ length: vms }, () => null);
  const play = (round: number): void => {
    for (let index = 0; index < vms; index += 1) {
      const trace = traces[index % traces.length];
      const usedCores = (trace?.[round % trace.length] ?? 0) / 25;
      const phaseMs = (index * 7919) % forecastBucketMs;
      states[index] = nextVmForecast(states[index] ?? null, { atMs: round * 60_000, usedCores, vcpus: 4 }, horizonMs, phaseMs);
    }
  };
  for (let round = 0; round < roundsBefore; round += 1) play(round);
  const before = process.cpuUsage();
  for (let round = 0; round < roundsTimed; round += 1) play(roundsBefore + round);
  const { user, system } = process.cpuUsage(before);
  const weighed = states.slice(0, vmsWeighed);
  const bytes = weighed.reduce((sum, state) => sum + JSON.stringify(state).length, 0) / weighed.length;
  console.log(
    `a round of ${vms} VMs    ${((user + system) / 1000 / roundsTimed).toFixed(0)} ms of CPU, mean of ${roundsTimed} rounds a minute apart`,
  );
  console.log(`state of a VM           ${bytes.toFixed(0)} bytes as JSON`);
}

const options = optionsOf({
  name: 'forecast',
  does: 'Forecasts the CPU of VMs, and prints how far off that is against naive, a mean that fades, and the last day.',
  options: {
    traces: { value: 'DIR', does: 'folder of *.u8.gz, a day of 288 readings in percent for each VM (default: generated ones)' },
    horizon: { value: 'N', does: 'minutes to forecast (default: 30)', max: 120 },
    vms: { value: 'N', does: 'VMs of the round that is timed (default: 100000)', max: 1_000_000 },
  },
  needsLab: false,
});
if (options !== null) {
  const { traces: folder, horizon = '30', vms = '100000' } = options;
  const traces = folder === undefined ? generatedTraces(vmsGenerated, daysGenerated) : await tracesIn(folder);
  const horizonMs = Number(horizon) * 60_000;
  console.log(
    `traces        ${traces.length} VMs, ${folder === undefined ? `generated, ${daysGenerated} days` : 'from files'}; ${horizon} minutes ahead`,
  );
  heldOut(traces, Math.max(1, Math.round(horizonMs / forecastBucketMs)));
  console.log('');
  cost(traces, Number(vms), horizonMs);
}
