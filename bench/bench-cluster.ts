/** The lab of a bench: nothing of an earlier run is in its way, and nothing of it stays, also after Ctrl-C. */
import { type LabOptions, removeLab } from '#lab/api.ts';
import { type Cluster, startCluster } from '#test/e2e/cluster.ts';
import { processorTime, stolenPercent } from './stolen.ts';

const interruptedExitCode = 130;
/** More than this spoils figures of time. */
const stolenPercentMax = 5;
const signals = ['SIGINT', 'SIGTERM'] as const;

/** Ends the process, with the lab taken down, when it is interrupted. Says so when other machines took much of the processors' time. */
export async function withBenchCluster<T>(
  options: Partial<LabOptions> & { readonly name: string },
  measure: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  await removeLab(options.name);
  const { promise: interrupted, reject } = Promise.withResolvers<never>();
  const interrupt = (): void => {
    process.stderr.write(`interrupted: taking the lab '${options.name}' down\n`);
    process.exitCode = interruptedExitCode;
    reject(new Error('interrupted'));
  };
  for (const signal of signals) process.once(signal, interrupt);
  try {
    const before = await processorTime();
    const measured = await Promise.race([startCluster(options).then(measure), interrupted]);
    const stolen = stolenPercent(before, await processorTime());
    if (stolen > stolenPercentMax)
      process.stderr.write(`other machines took ${stolen.toFixed(0)} % of the processors' time meanwhile: times are worth little\n`);
    return measured;
  } finally {
    await removeLab(options.name);
    if (process.exitCode === interruptedExitCode) process.exit();
    for (const signal of signals) process.removeListener(signal, interrupt);
  }
}
