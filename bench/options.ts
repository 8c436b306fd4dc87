/** What a bench is asked on its command line. */
import { parseArgs } from 'node:util';

const notRunExitCode = 2;

interface BenchOption {
  /** As its help shows the value: FILE, N. */
  readonly value: string;
  readonly does: string;
  /** It is a whole number from 1 to this. */
  readonly max?: number;
}

interface Bench {
  readonly name: string;
  /** The script that runs it, where that is not `bench:` and its name. */
  readonly script?: string;
  readonly does: string;
  readonly options?: Readonly<Record<string, BenchOption>>;
  /** It builds a lab, which not every machine can. */
  readonly needsLab?: boolean;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function helpOf({ name, script = `bench:${name}`, does, options = {} }: Bench): string {
  const lines = Object.entries(options).map(([option, { value, does: effect }]) => `  ${`--${option} ${value}`.padEnd(20)}${effect}`);
  return [`npm run ${script}${lines.length > 0 ? ' -- [options]' : ''}`, '', does, '', ...lines].join('\n').trimEnd();
}

/** What was given; null when nothing is to be measured: the help was wanted, an option is unknown, or no lab can be built here. */
export function optionsOf(bench: Bench): Readonly<Record<string, string>> | null {
  const known = Object.fromEntries(Object.keys(bench.options ?? {}).map((name) => [name, { type: 'string' as const }]));
  const options = { ...known, help: { type: 'boolean' as const, short: 'h' } };
  try {
    const { help, ...given } = parseArgs({ options }).values;
    if (help === true) {
      say(helpOf(bench));
      return null;
    }
    for (const [name, text] of Object.entries(given)) checkAmount(name, String(text), bench.options?.[name]?.max);
    const missing = bench.needsLab === false ? undefined : process.env['PLIMSOLL_LAB_MISSING'];
    if (missing !== undefined) return refused(`not run: ${missing}`);
    return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]));
  } catch (error) {
    return refused(`${error instanceof Error ? error.message : String(error)}\n\n${helpOf(bench)}`);
  }
}

function checkAmount(name: string, text: string, max: number | undefined): void {
  const amount = Number(text);
  if (max === undefined || (Number.isInteger(amount) && amount >= 1 && amount <= max)) return;
  throw new RangeError(`--${name} takes a whole number from 1 to ${max}, not ${JSON.stringify(text)}`);
}

function refused(why: string): null {
  process.stderr.write(`${why}\n`);
  process.exitCode = notRunExitCode;
  return null;
}
