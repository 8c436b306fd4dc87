import { describe, expect, it } from 'vitest';
import { hostRoute, keeperRoutes, ownMtus, routeKey, routesIn } from './route-words.ts';

/** As `ip -o -4 route show table all` prints it. */
const listing = `10.92.0.0/16 via 10.81.0.1 dev eth0 table 220 proto static \n\
default via 10.81.0.1 dev eth0 proto dhcp metric 100 linkdown \n\
default via 10.81.0.1 dev eth10 \n\
10.81.0.0/24 dev eth0 proto kernel scope link src 10.81.0.2 \n\
10.90.0.0/16 nhid 7 via 10.81.0.1 dev eth0 metric 50 rto_min lock 5ms initcwnd 20 onlink \n\
10.91.0.0/16 via 10.81.0.1 dev eth0 mtu 1400 \n\
10.83.0.2 via 10.81.0.1 dev eth0 proto 149 src 10.81.0.2 \n\
local 10.81.0.2 dev eth0 table local proto kernel scope host src 10.81.0.2 \n\
broadcast 10.81.0.255 dev eth0 table local proto kernel scope link src 10.81.0.2 \n\
unreachable 10.99.0.0/16 proto static \n`;

const texts = (routes: ReturnType<typeof keeperRoutes>) => routes?.map(({ words }) => words.join(' '));

describe('copies of the routes through a device', () => {
  it('keep everything but protocol and remarks, have the MTU, and come last one first', () => {
    expect(texts(keeperRoutes(listing, 'eth0', 1500, ['149', '150']))).toEqual([
      'broadcast 10.81.0.255 dev eth0 table local scope link src 10.81.0.2 mtu 1500',
      '10.90.0.0/16 via 10.81.0.1 dev eth0 metric 50 rto_min lock 5ms initcwnd 20 onlink mtu 1500',
      '10.81.0.0/24 dev eth0 scope link src 10.81.0.2 mtu 1500',
      'default via 10.81.0.1 dev eth0 metric 100 scope site mtu 1500',
      '10.92.0.0/16 via 10.81.0.1 dev eth0 table 220 mtu 1500',
    ]);
  });

  it('are of that device only, not of one whose name begins alike', () => {
    expect(texts(keeperRoutes(listing, 'eth10', 9000, []))).toEqual(['default via 10.81.0.1 dev eth10 scope site mtu 9000']);
    expect(keeperRoutes(listing, 'eth', 1500, [])).toEqual([]);
  });

  it('are refused for several next hops through it, and for a default route with a scope', () => {
    const several =
      'default proto static metric 1 \\\tnexthop via 10.1.0.1 dev eth0 weight 1 \\\tnexthop via 10.2.0.1 dev eth1 weight 1 \n';
    expect(keeperRoutes(several, 'eth1', 1500, [])).toBeNull();
    expect(keeperRoutes(several, 'eth2', 1500, [])).toEqual([]);
    expect(keeperRoutes('default via 10.1.0.1 dev eth0 scope site \n', 'eth0', 1500, [])).toBeNull();
  });
});

describe('routes', () => {
  it('are the same in whatever order their properties come, and with what the kernel adds', () => {
    const [printed] = routesIn('2001:db8::2 via fe80::1 dev eth0 proto 149 src 2001:db8::1 metric 1 mtu lock 9000 pref medium \n', 6);
    const asked = hostRoute({
      address: '2001:db8::2',
      table: 'main',
      gatewayWords: ['via', 'fe80::1'],
      device: 'eth0',
      source: '2001:db8::1',
      onLink: false,
      mtuBytes: 9000,
    });
    expect(printed && routeKey(printed)).toBe(routeKey(asked));
    expect(routeKey({ ...asked, family: 4 })).not.toBe(routeKey(asked));
  });

  it('to an IPv4 address have no lock, and link scope where there is no gateway', () => {
    const common = { address: '10.0.0.2', device: 'eth0', source: '10.0.0.1', mtuBytes: 1400 };
    const direct = hostRoute({ ...common, table: '220', gatewayWords: [], onLink: false });
    expect(direct.words.join(' ')).toBe('10.0.0.2 dev eth0 table 220 scope link src 10.0.0.1 mtu 1400');
    const far = hostRoute({ ...common, table: 'main', gatewayWords: ['via', 'inet6', 'fe80::1'], onLink: true });
    expect(far.words.join(' ')).toBe('10.0.0.2 via inet6 fe80::1 dev eth0 src 10.0.0.1 mtu 1400 onlink');
  });

  it('tell the MTUs of their own that follow the device', () => {
    const text = 'a dev eth0 mtu 1500 pref medium \nb dev eth0 mtu lock 1400 \nc dev eth1 mtu 1300 \nd dev eth0 \n';
    expect(ownMtus(text, 'eth0')).toEqual([1500]);
  });
});
