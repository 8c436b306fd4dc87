/** The link between the two hosts, by packet filters in the hosts: storage, controller and guests' network are not touched. */
import type { LabHost } from '#lab/api.ts';
import { Poised } from './poised.ts';
import type { Scene, Strike } from './scene.ts';

const table = 'plimsoll_faults';
const resetMs = 2_000;
const refuseMs = 20_000;
/** QEMU's data streams, as the lab's qemu.conf says. */
const dataPorts = '49152-49215';

/** Before everything else that looks at what comes in: at connection tracking and at guards. */
const chain = (rule: string): string =>
  `table inet ${table} {\n  chain arriving {\n    type filter hook input priority -500; policy accept;\n    ${rule}\n  }\n}\n`;

export async function removeTables(hosts: readonly LabHost[]): Promise<void> {
  for (const host of hosts) await host.exec(['nft', 'delete', 'table', 'inet', table], { timeoutMs: 10_000 }).catch(() => undefined);
}

type Span = Pick<Strike, 'lastsMs' | 'endsWithMigration'>;

async function filterOf(rules: ReadonlyMap<LabHost, string>, { lastsMs, endsWithMigration }: Span, hit: string): Promise<Strike> {
  const poised: (readonly [Poised, string])[] = [];
  for (const [host, rule] of rules) poised.push([await Poised.of(host, ['nft', '-f', '-']), chain(rule)]);
  const strike = async (): Promise<string> => {
    await Promise.all(poised.map(([filter, text]) => filter.release(text)));
    return hit;
  };
  const end = async (): Promise<void> => {
    for (const [filter] of poised) await filter.drop();
    await removeTables([...rules.keys()]);
  };
  return { lastsMs, endsWithMigration, strike, end };
}

/** Drops what arrives from the peer, so that a sender is told nothing. */
export function deadLink({ source, destination }: Scene, lastsMs: number): Promise<Strike> {
  const rules = new Map([
    [source, `ip saddr ${destination.underlay} drop`],
    [destination, `ip saddr ${source.underlay} drop`],
  ]);
  return filterOf(rules, { lastsMs, endsWithMigration: false }, `packets between ${source.name} and ${destination.name} are dropped`);
}

/** Answers every TCP segment from the peer by a reset; the resets themselves pass. */
export function resetLink({ source, destination }: Scene): Promise<Strike> {
  const rule = (peer: LabHost): string => `ip saddr ${peer.protected} meta l4proto tcp tcp flags & rst == 0 reject with tcp reset`;
  const rules = new Map([
    [source, rule(destination)],
    [destination, rule(source)],
  ]);
  return filterOf(rules, { lastsMs: resetMs, endsWithMigration: false }, 'every connection between the two is reset');
}

/** Nobody listens, as far as the source can tell. */
export function refusedPort({ destination }: Scene): Promise<Strike> {
  const rule = `ip daddr ${destination.protected} tcp dport ${dataPorts} tcp flags & (syn | ack) == syn reject with tcp reset`;
  return filterOf(
    new Map([[destination, rule]]),
    { lastsMs: refuseMs, endsWithMigration: true },
    `new connections to ports ${dataPorts} are refused`,
  );
}
