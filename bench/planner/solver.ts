/** Questions about placements for HiGHS, a solver of mixed-integer programs: what is possible at all, and with how few moves. */
import * as highsModule from 'highs';
import type { Snapshot } from '#core/model/snapshot.ts';

/** What is used of it. Its types describe its CommonJS build, which is not the one that is loaded. */
interface Solver {
  readonly solve: (program: string, options: object) => { readonly Status: string; readonly ObjectiveValue?: number };
}

function isLoader(value: unknown): value is () => Promise<Solver> {
  return typeof value === 'function';
}

async function loaded(): Promise<Solver> {
  const { default: load }: { readonly default: unknown } = highsModule;
  if (!isLoader(load)) throw new Error('this build of highs has no loader');
  return load();
}

const highs = await loaded();
/** Beyond this a question is given up, and said to be open. */
const secondsMax = 60;
const gibibyte = 2 ** 30;

/** `limits`: cores that each host may carry. */
export interface Question {
  readonly snapshot: Snapshot;
  readonly limits: ReadonlyMap<string, number>;
}

export type Answer = { readonly kind: 'possible'; readonly movesMin: number } | { readonly kind: 'impossible' } | { readonly kind: 'open' };

/** The fewest VMs that have to be elsewhere so that every host is within its limit of CPU and its memory. In which order is not asked. */
export function fewestMoves({ snapshot, limits }: Question): Answer {
  const solution = highs.solve(programOf(snapshot, limits), { time_limit: secondsMax, output_flag: false });
  if (solution.Status === 'Infeasible') return { kind: 'impossible' };
  const { Status, ObjectiveValue } = solution;
  if (Status !== 'Optimal' || ObjectiveValue === undefined) return { kind: 'open' };
  return { kind: 'possible', movesMin: Math.round(ObjectiveValue) };
}

/** In the LP format of CPLEX. A variable is 1 where a VM is on a host; staying at home costs nothing. */
function programOf({ hosts, vms }: Snapshot, limits: ReadonlyMap<string, number>): string {
  const name = (vm: number, host: number) => `x_${vm}_${host}`;
  const sum = (terms: readonly string[]) => terms.join(' + ');
  const away = vms.flatMap((vm, v) => hosts.flatMap(({ hostId }, h) => (hostId === vm.hostId ? [] : [name(v, h)])));
  const placed = vms.map((_vm, v) => ` vm_${v}: ${sum(hosts.map((_host, h) => name(v, h)))} = 1`);
  const cpu = hosts.map(
    ({ hostId }, h) => ` cpu_${h}: ${sum(vms.map((vm, v) => `${vm.cpuUsedCores.toFixed(6)} ${name(v, h)}`))} <= ${limits.get(hostId)}`,
  );
  const memory = hosts.map(
    ({ capacity }, h) =>
      ` memory_${h}: ${sum(vms.map((vm, v) => `${(vm.memoryBytes / gibibyte).toFixed(6)} ${name(v, h)}`))} <= ${capacity.memoryBytes / gibibyte}`,
  );
  const all = vms.flatMap((_vm, v) => hosts.map((_host, h) => name(v, h)));
  return ['Minimize', ` moves: ${sum(away)}`, 'Subject To', ...placed, ...cpu, ...memory, 'Binary', ` ${all.join(' ')}`, 'End'].join('\n');
}
