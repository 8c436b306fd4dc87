import type { Balancer, Entrant } from './balancer.ts';

/** A peer's settings: its own defaults, the best ones that were found, and those among which they were searched. */
export interface Grid<Settings extends object> {
  readonly name: string;
  readonly defaults: Settings;
  readonly best: Settings;
  readonly choices: { readonly [Key in keyof Settings]: readonly Settings[Key][] };
  create(settings: Settings): Balancer;
}

/** A peer, whatever its settings look like. */
export interface Peer {
  readonly name: string;
  /** With its defaults, and with the best settings. */
  readonly entrants: readonly Entrant[];
  /** With each combination of the choices; named by them. */
  readonly candidates: readonly Entrant[];
}

export function peerOf<Settings extends object>(grid: Grid<Settings>): Peer {
  const { name, defaults, best } = grid;
  const entrant = (label: string, settings: Settings) => ({ name: label, create: () => grid.create(settings) });
  return {
    name,
    entrants: [entrant(name, defaults), entrant(`${name} (best)`, best)],
    candidates: combinations(grid).map((settings) => entrant(JSON.stringify(settings), settings)),
  };
}

function combinations<Settings extends object>({ defaults, choices }: Grid<Settings>): readonly Settings[] {
  let found: readonly Settings[] = [defaults];
  for (const [key, values] of Object.entries<readonly unknown[]>(choices))
    found = found.flatMap((settings) => values.map((value) => ({ ...settings, [key]: value })));
  return found;
}
