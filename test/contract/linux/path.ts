/**
 * A path of four private network namespaces, IPv4 and IPv6:
 *
 *     near ------ one ------ two ------ far
 *      eth0    lan  mid  mid  lan    eth0
 *
 * Only the middle link is narrow; nobody at the ends can see that. Needs root.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HostAddresses } from '#core/model/host.ts';
import { End, type Family, run } from './namespaces.ts';

const ip = '/usr/sbin/ip';
const nft = '/usr/sbin/nft';

/** `router`: the other end of the host's own link. */
const addressesOf = {
  near: { IPv4: '10.81.0.2', IPv6: '2001:db8:81::2' },
  far: { IPv4: '10.83.0.2', IPv6: '2001:db8:83::2' },
  one: { IPv4: '10.81.0.1', IPv6: '2001:db8:81::1' },
  two: { IPv4: '10.83.0.1', IPv6: '2001:db8:83::1' },
  middleOne: { IPv4: '10.82.0.1', IPv6: '2001:db8:82::1' },
  middleTwo: { IPv4: '10.82.0.2', IPv6: '2001:db8:82::2' },
} as const;

export type PathAddress = keyof typeof addressesOf;

export function pathAddress(name: PathAddress, family: Family): string {
  return addressesOf[name][family];
}

/** Transport mode: the address inside the channel is the underlay's. */
export function transportAddresses(name: 'near' | 'far', family: Family): HostAddresses {
  return { underlay: pathAddress(name, family), protected: pathAddress(name, family), interface: 'eth0' };
}

export interface Path {
  readonly near: End;
  readonly far: End;
  readonly one: End;
  readonly two: End;
  /** For the journal of a host. */
  readonly stateDir: string;
  /** Whether the routers send ICMP and ICMPv6 errors; without them a packet that is too large just vanishes. */
  setIcmp(on: boolean): void;
  close(): Promise<void>;
}

/** The ends' own interfaces have `endMtuBytes`; the routers' links to them take 9000. */
export function narrowPath(label: string, options: { readonly middleMtuBytes: number; readonly endMtuBytes: number }): Path {
  const [near, one, two, far] = ['near', 'one', 'two', 'far'].map((name) => {
    const addresses = name === 'far' ? transportAddresses('far', 'IPv4') : transportAddresses('near', 'IPv4');
    return new End(`plt-${label}-${process.pid}-${name}`, addresses);
  }) as [End, End, End, End];
  const all = [near, one, two, far];
  const stateDir = mkdtempSync(join(tmpdir(), 'plimsoll-path-'));
  const close = async (): Promise<void> => {
    await Promise.all(all.map((end) => end.stop()));
    for (const end of all) run(ip, 'netns', 'delete', end.namespace);
    rmSync(stateDir, { recursive: true });
  };
  for (const end of all) {
    run(ip, 'netns', 'add', end.namespace);
    // No duplicate address detection: link-local addresses would show up seconds later.
    end.run('/usr/sbin/sysctl', '-qw', 'net.ipv6.conf.all.accept_dad=0', 'net.ipv6.conf.default.accept_dad=0');
  }
  connectDevices([near, 'eth0'], [one, 'lan']);
  connectDevices([one, 'mid'], [two, 'mid']);
  connectDevices([two, 'lan'], [far, 'eth0']);
  for (const end of [one, two]) {
    end.run('/usr/sbin/sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    // ICMP errors are rationed (net.ipv4.icmp_ratelimit, net.ipv6.icmp.ratelimit); a test asks faster than a real host.
    end.run('/usr/sbin/sysctl', '-qw', 'net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0');
  }
  settle(near, 'eth0', 'near', options.endMtuBytes);
  settle(one, 'lan', 'one', 9000);
  settle(one, 'mid', 'middleOne', options.middleMtuBytes);
  settle(two, 'mid', 'middleTwo', options.middleMtuBytes);
  settle(two, 'lan', 'two', 9000);
  settle(far, 'eth0', 'far', options.endMtuBytes);
  for (const family of ['IPv4', 'IPv6'] as const) {
    near.run(ip, 'route', 'add', ...defaultRoute(family), 'via', pathAddress('one', family));
    far.run(ip, 'route', 'add', ...defaultRoute(family), 'via', pathAddress('two', family));
    one.run(ip, 'route', 'add', subnet('far', family), 'via', pathAddress('middleTwo', family));
    two.run(ip, 'route', 'add', subnet('near', family), 'via', pathAddress('middleOne', family));
  }
  const setIcmp = (on: boolean): void => {
    for (const router of [one, two]) {
      router.run(nft, on ? 'add table inet quiet; delete table inet quiet' : quiet);
    }
  };
  return { near, far, one, two, stateDir, setIcmp, close };
}

const quiet =
  'table inet quiet { chain output { type filter hook output priority 0; icmp type destination-unreachable drop; icmpv6 type packet-too-big drop; }; }';

function defaultRoute(family: Family): readonly string[] {
  return family === 'IPv4' ? ['0.0.0.0/0'] : ['::/0'];
}

function subnet(name: 'near' | 'far', family: Family): string {
  return family === 'IPv4' ? pathAddress(name, family).replace(/\.2$/, '.0/24') : pathAddress(name, family).replace(/::2$/, '::/64');
}

function connectDevices([left, leftDevice]: readonly [End, string], [right, rightDevice]: readonly [End, string]): void {
  run(ip, 'link', 'add', leftDevice, 'netns', left.namespace, 'type', 'veth', 'peer', 'name', rightDevice, 'netns', right.namespace);
}

function settle(end: End, device: string, name: PathAddress, mtuBytes: number): void {
  end.run(ip, 'address', 'add', `${pathAddress(name, 'IPv4')}/24`, 'dev', device);
  end.run(ip, 'address', 'add', `${pathAddress(name, 'IPv6')}/64`, 'dev', device, 'nodad');
  end.run(ip, 'link', 'set', 'dev', device, 'mtu', String(mtuBytes), 'up');
  end.run(ip, 'link', 'set', 'dev', 'lo', 'up');
}
