import { describe, expect, it } from 'vitest';
import { addressesBehind, isOnLink, isPortOfVm, portOf } from './witness-tables.ts';

const mac = '52:54:00:50:01:0a';
const text = JSON.stringify;

describe('the neighbour table', () => {
  const entry = (dst: string, confirmed: number, rest = {}) => ({
    dst,
    dev: 'brvm',
    lladdr: mac,
    used: 1,
    confirmed,
    updated: 1,
    probes: 1,
    state: ['STALE'],
    ...rest,
  });

  it('gives the addresses behind a MAC address, the one that was confirmed last first, each once', () => {
    const table = [
      entry('10.0.0.1', 300),
      entry('fd00::1', 20),
      entry('10.0.0.2', 5),
      entry('10.0.0.1', 400),
      entry('10.0.0.3', 1, { lladdr: '52:54:00:50:01:0b' }),
    ];
    expect(addressesBehind(text(table), mac.toUpperCase())).toEqual(['10.0.0.2', 'fd00::1', '10.0.0.1']);
  });

  it('leaves out who did not answer, and link-local addresses', () => {
    const table = [
      entry('10.0.0.1', 1, { state: ['FAILED'] }),
      entry('fe80::1', 1),
      { dst: '10.0.0.2', dev: 'brvm', state: ['INCOMPLETE'] },
    ];
    expect(addressesBehind(text(table), mac)).toEqual([]);
  });

  it.each(['{}', '[{"dst":1}]', 'not JSON'])('refuses an unknown form: %s', (table) => {
    expect(() => addressesBehind(table, mac)).toThrow(expect.objectContaining({ code: 'version-unsupported' }));
  });
});

describe('a route', () => {
  const route = { dst: '10.0.0.2', dev: 'eth0', prefsrc: '10.0.0.1', flags: [], uid: 0, cache: [] };

  it('is on the link when it needs nobody else', () => {
    expect(isOnLink(text([route]))).toBe(true);
    expect(isOnLink(text([{ ...route, type: 'unicast' }]))).toBe(true);
  });

  it.each([
    ['a gateway', { gateway: '10.0.0.254' }],
    ['a gateway of the other family', { via: { family: 'inet6', host: 'fe80::1' } }],
    ['a tunnel without a device of its own', { encap: 'mpls' }],
    ["the host's own address", { type: 'local', dev: 'lo' }],
    ['a broadcast address', { type: 'broadcast' }],
    ['no device', { dev: undefined }],
  ])('is not with %s', (_, change) => {
    expect(isOnLink(text([{ ...route, ...change }]))).toBe(false);
    expect(isOnLink('[]')).toBe(false);
  });
});

describe('the forwarding table', () => {
  const entry = (ifname: string, updated: number, rest = {}) => ({
    mac,
    ifname,
    used: 0,
    updated,
    flags: [],
    master: 'brvm',
    state: '',
    ...rest,
  });

  it('gives the port of the newest entry', () => {
    expect(portOf(text([entry('eth1', 7), entry('vnet3', 2), entry('bond0', 9)]), mac.toUpperCase())).toBe('vnet3');
    expect(portOf(text([entry('vnet3', 2, { state: 'static' })]), mac)).toBe('vnet3');
  });

  it("knows nothing of a MAC address that no bridge has learned: it is a port's own, or a device's filter, or another's", () => {
    const others = [
      entry('eth1', 1, { state: 'permanent' }),
      { mac, ifname: 'eth1', flags: ['self'], state: '' },
      entry('eth1', 1, { mac: '52:54:00:50:01:0b' }),
    ];
    expect(portOf(text(others), mac)).toBeNull();
    expect(portOf('', mac)).toBeNull();
  });
});

describe("a bridge's port", () => {
  const port = (ifname: string, address: string, kind: string | null, type?: string) =>
    text([{ ifname, address, ...(kind === null ? {} : { linkinfo: { info_kind: kind, info_data: type === undefined ? {} : { type } } }) }]);

  it("is the VM's when it is a TAP device that libvirt made for it, or that somebody else made", () => {
    expect(isPortOfVm(port('vnet7', 'fe:54:00:50:01:0a', 'tun', 'tap'), mac.toUpperCase())).toBe(true);
    expect(isPortOfVm(port('tap0', '6e:86:06:47:82:4e', 'tun', 'tap'), mac)).toBe(true);
    expect(isPortOfVm(port('vnet7', '6e:86:06:47:82:4e', 'tun', 'tap'), mac)).toBe(true);
  });

  it.each([
    ['a TAP device that libvirt made for another guest', port('vnet7', 'fe:54:00:50:01:0b', 'tun', 'tap')],
    ['a TUN device', port('tun0', '6e:86:06:47:82:4e', 'tun', 'tun')],
    ['a network card', port('eth1', '6e:86:06:47:82:4e', null)],
    ['a pair of virtual cables', port('eth1', '6e:86:06:47:82:4e', 'veth')],
    ['a VXLAN', port('vnet7', 'fe:54:00:50:01:0a', 'vxlan')],
  ])('is not when it is %s', (_, link) => {
    expect(isPortOfVm(link, mac)).toBe(false);
  });
});
