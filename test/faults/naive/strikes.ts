/** The faults of the control arm, each prepared so far that its strike is a matter of milliseconds. They hit one guest's transfer only. */
import type { LabHost } from '#lab/api.ts';
import { Poised } from '#test/faults/strikes/poised.ts';
import type { GuestProcess } from './guest.ts';
import type { Fault } from './plan.ts';

export interface Strike {
  /** What is signalled is signalled before the first await. */
  readonly hit: () => Promise<void>;
  /** Takes everything away; harmless when it never struck. */
  readonly end: () => Promise<void>;
}

export interface Target {
  readonly source: LabHost;
  readonly destination: GuestProcess;
  /** The destination's port of this transfer. */
  readonly port: number;
}

/** Before everything else that looks at what comes in. */
async function filterOf({ source, destination, port }: Target, verdict: string): Promise<Strike> {
  const table = `plimsoll_naive_${port}`;
  const chain = (match: string): string =>
    `table inet ${table} {\n  chain arriving {\n    type filter hook input priority -500; policy accept;\n    ${match} ${verdict}\n  }\n}\n`;
  const sides = [
    { host: destination.host, text: chain(`tcp dport ${port}`) },
    { host: source, text: chain(`tcp sport ${port}`) },
  ];
  const poised = await Promise.all(
    sides.map(async ({ host, text }) => ({ host, text, filter: await Poised.of(host, ['nft', '-f', '-']) })),
  );
  return {
    hit: async () => {
      await Promise.all(poised.map(({ filter, text }) => filter.release(text)));
    },
    end: async () => {
      for (const { filter, host } of poised) {
        await filter.drop();
        await host.exec(['nft', 'delete', 'table', 'inet', table], { timeoutMs: 10_000 }).catch(() => undefined);
      }
    },
  };
}

export async function aim(fault: Fault, target: Target): Promise<Strike> {
  const nothing = (): Promise<void> => Promise.resolve();
  switch (fault) {
    case 'none':
      return { hit: nothing, end: nothing };
    case 'kill destination qemu':
      return { hit: async () => target.destination.kill(), end: nothing };
    case 'link dead':
      return filterOf(target, 'drop');
    case 'link reset':
      return filterOf(target, 'tcp flags & rst == 0 reject with tcp reset');
    default:
      return fault satisfies never;
  }
}
