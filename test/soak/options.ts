import { parseArgs } from 'node:util';
import { PlimsollError } from '#core/model/result.ts';
import type { ScheduleOptions } from '#sim/schedule.ts';

export const usage = `Plays seeds of the simulator: the real controller and agents in virtual time, under faults.

  npm run sim:soak -- --seeds N | --hours H [--from SEED] [--workers N] [--hosts N] [--no-placement]
  npm run sim:soak -- --seed SEED [--hosts N] [--no-placement] [--shrink] [--save DIR]

  --seeds N     play so many seeds (100 if nothing is said)
  --hours H     play until this many virtual hours have passed
  --from SEED   the first seed (1)
  --workers N   threads (2)
  --hosts N     hosts of every cluster; else three to eight, by the seed
  --no-placement  no rules, cordons, drains and strategies: seeds as they were before there were any
  --seed SEED   play this one and print its whole decision log
  --shrink      take events away as long as the same invariant breaks
  --save DIR    write the scenario there: cluster.yaml and events.yaml`;

export interface SoakOptions {
  /** Null: play many. */
  readonly seed: number | null;
  /** One of the two ends the run. */
  readonly seedsMax: number;
  readonly virtualHoursMax: number;
  readonly from: number;
  readonly workers: number;
  readonly hosts: number | null;
  readonly placement: boolean;
  readonly shrink: boolean;
  readonly saveDir: string | null;
  readonly help: boolean;
}

const seedsDefault = 100;
const workersMax = 64;
const hostsMin = 2;
const hostsMax = 200;

/** Throws `input-invalid` that says what is wrong with which option. */
export function soakOptionsOf(args: readonly string[]): SoakOptions {
  const { values } = parsed(args);
  if (values.seeds !== undefined && values.hours !== undefined) throw invalid('say --seeds or --hours, not both');
  const seed = values.seed === undefined ? null : wholeOf('--seed', values.seed, 0, Number.MAX_SAFE_INTEGER);
  if (seed === null && (values.shrink === true || values.save !== undefined)) throw invalid('--shrink and --save are for one --seed');
  return {
    seed,
    seedsMax:
      values.seeds === undefined
        ? values.hours === undefined
          ? seedsDefault
          : Number.POSITIVE_INFINITY
        : wholeOf('--seeds', values.seeds, 1, Number.MAX_SAFE_INTEGER),
    virtualHoursMax: values.hours === undefined ? Number.POSITIVE_INFINITY : amountOf('--hours', values.hours),
    from: wholeOf('--from', values.from ?? '1', 0, Number.MAX_SAFE_INTEGER),
    workers: wholeOf('--workers', values.workers ?? '2', 1, workersMax),
    hosts: values.hosts === undefined ? null : wholeOf('--hosts', values.hosts, hostsMin, hostsMax),
    placement: values['no-placement'] !== true,
    shrink: values.shrink ?? false,
    saveDir: values.save ?? null,
    help: values.help ?? false,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        seeds: { type: 'string' },
        hours: { type: 'string' },
        from: { type: 'string' },
        workers: { type: 'string' },
        hosts: { type: 'string' },
        seed: { type: 'string' },
        'no-placement': { type: 'boolean' },
        shrink: { type: 'boolean' },
        save: { type: 'string' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new PlimsollError('input-invalid', error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function wholeOf(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min || value > max)
    throw invalid(`${name} is ${text}, it has to be a whole number from ${min} to ${max}`);
  return value;
}

function amountOf(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw invalid(`${name} is ${text}, it has to be more than 0`);
  return value;
}

function invalid(message: string): PlimsollError {
  return new PlimsollError('input-invalid', message);
}

/** As schedules are made with them. */
export function scheduleOptionsOf({ hosts, placement }: Pick<SoakOptions, 'hosts' | 'placement'>): ScheduleOptions {
  return { placement, ...(hosts === null ? {} : { hosts }) };
}

export function replayCommandOf({ hosts, placement }: Pick<SoakOptions, 'hosts' | 'placement'>): (seed: number) => string {
  const same = `${hosts === null ? '' : ` --hosts ${hosts}`}${placement ? '' : ' --no-placement'}`;
  return (seed) => `npm run sim:soak -- --seed ${seed}${same}`;
}
