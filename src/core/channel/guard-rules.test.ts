import { describe, expect, it } from 'vitest';
import type { GuardSpec } from '#core/ports.ts';
import { PlimsollError } from '#core/model/result.ts';
import { exemptionScript, guardRuleset } from './guard-rules.ts';

const libipsec: GuardSpec = { addresses: { underlay: '10.77.0.1', protected: '10.79.0.1', interface: 'eth0' }, backend: 'libipsec' };
const kernel6: GuardSpec = { addresses: { underlay: '2001:db8::1', protected: 'fd00:79::1', interface: 'bond0.12' }, backend: 'kernel' };

function rulesOf(spec: GuardSpec, name: string): readonly string[] {
  const text = guardRuleset(spec);
  const body = text.slice(text.indexOf(`chain ${name} {`)).split('  }\n')[0] ?? '';
  return body.split('\n').map((line) => line.trim());
}

function refusal(addresses: Partial<GuardSpec['addresses']>): unknown {
  try {
    return guardRuleset({ ...libipsec, addresses: { ...libipsec.addresses, ...addresses } });
  } catch (error) {
    return error instanceof PlimsollError ? error.code : error;
  }
}

describe('guardRuleset', () => {
  it('replaces its own table in one transaction and names no other', () => {
    const text = guardRuleset(libipsec);
    expect(text.startsWith('add table inet plimsoll\ndelete table inet plimsoll\ntable inet plimsoll {\n')).toBe(true);
    expect(text.match(/table \S+ \S+/g)?.every((match) => match === 'table inet plimsoll')).toBe(true);
    expect(text).not.toContain('flush');
  });

  it('lets the tunnel device pass before anything is dropped', () => {
    const input = rulesOf(libipsec, 'input');
    const output = rulesOf(libipsec, 'output');
    expect(input.indexOf('iifname "ipsec0" accept')).toBeLessThan(input.findIndex((rule) => rule.endsWith('drop')));
    expect(input.indexOf('iifname "ipsec0" accept')).toBeGreaterThan(0);
    expect(output).toContain('oifname "ipsec0" accept');
  });

  it('asks the kernel for its own IPsec mark: the secpath on input, the route on output', () => {
    expect(rulesOf(kernel6, 'input')).toContain('meta ipsec exists accept');
    expect(rulesOf(kernel6, 'output')).toContain('rt ipsec exists accept');
    expect(guardRuleset(kernel6)).not.toContain('ipsec0');
  });

  it('passes IKE and ESP only on the underlay address and interface', () => {
    expect(rulesOf(kernel6, 'input')).toContain('iifname "bond0.12" ip6 daddr 2001:db8::1 udp dport { 500, 4500 } accept');
    expect(rulesOf(libipsec, 'input')).toContain('iifname "eth0" ip daddr 10.77.0.1 meta l4proto esp accept');
    expect(rulesOf(libipsec, 'output')).toContain('oifname "eth0" ip saddr 10.77.0.1 udp sport { 500, 4500 } accept');
  });

  it('passes AH too, which on IPv6 is an extension header', () => {
    expect(rulesOf(libipsec, 'input')).toContain('iifname "eth0" ip daddr 10.77.0.1 ip protocol ah accept');
    expect(rulesOf(kernel6, 'input')).toContain('iifname "bond0.12" ip6 daddr 2001:db8::1 ip6 nexthdr ah accept');
    expect(rulesOf(kernel6, 'output')).toContain('oifname "bond0.12" ip6 saddr 2001:db8::1 ip6 nexthdr ah accept');
  });

  it('lets a connection to the data ports open inside IPsec only after it was noted, and drops what comes of it outside', () => {
    for (const [chain, key] of [
      ['input', 'ip6 daddr . tcp dport . ip6 saddr . tcp sport'],
      ['output', 'ip6 saddr . tcp sport . ip6 daddr . tcp dport'],
    ] as const) {
      const rules = rulesOf(kernel6, chain);
      const noted = rules.findIndex((rule) => rule.endsWith(`add @flows6 { ${key} } accept`));
      const unnoted = rules.findIndex((rule) => rule.includes('tcp dport 49152-49215') && rule.endsWith('drop'));
      const carried = rules.findIndex((rule) => /^(?:meta|rt) ipsec exists accept$/.test(rule));
      const outside = rules.findIndex((rule) => rule.startsWith(`${key} @flows6 counter`) && rule.endsWith('drop'));
      const exempt = rules.findIndex((rule) => rule.includes('@exempt6'));
      expect([noted, unnoted, carried, outside, exempt]).toEqual([noted, unnoted, carried, outside, exempt].toSorted((a, b) => a - b));
      expect(noted).toBeGreaterThan(0);
    }
    expect(rulesOf(libipsec, 'input').some((rule) => rule.includes('@flows'))).toBe(false);
  });

  it('lets a peer with a grant pass before anything is dropped, the plain probe included, so that no proof can hold meanwhile', () => {
    const input = rulesOf(libipsec, 'input');
    const exempt = input.indexOf('iifname "eth0" ip daddr 10.77.0.1 ip saddr @exempt4 accept');
    expect(exempt).toBeGreaterThan(0);
    expect(exempt).toBeLessThan(input.findIndex((rule) => rule.startsWith('udp dport 49151')));
    expect(rulesOf(kernel6, 'output')).toContain('oifname "bond0.12" ip6 saddr 2001:db8::1 ip6 daddr @exempt6 accept');
  });

  it('keeps the probes of the proof inside IPsec, and leaves the path probes alone', () => {
    const probes = 'udp sport { 49149, 49150 } udp dport { 49149, 49150 }';
    expect(rulesOf(kernel6, 'input')).toContain(`${probes} counter name "dropped_in_migration" drop`);
    expect(rulesOf(kernel6, 'output').some((rule) => rule.startsWith(`${probes} counter name "dropped_out_migration" reject`))).toBe(true);
    expect(guardRuleset(kernel6)).not.toContain('49148');
  });

  it('takes no TCP in fragments over IPv6, whose first may end before the flags', () => {
    const rule = 'ip6 daddr 2001:db8::1 exthdr frag exists meta l4proto tcp counter name "dropped_in_migration" drop';
    expect(rulesOf(kernel6, 'input').some((each) => each.endsWith(rule))).toBe(true);
    expect(guardRuleset(libipsec)).not.toContain('exthdr');
  });

  it('lets the plain probe out and never in', () => {
    expect(rulesOf(libipsec, 'output')).toContain(
      'oifname "eth0" ip saddr 10.77.0.1 udp dport 49151 counter name "passed_out_probe" accept',
    );
    expect(rulesOf(libipsec, 'input')).toContain('udp dport 49151 counter name "dropped_in_probe" drop');
  });

  it('drops the protected address in both directions and counts it', () => {
    expect(rulesOf(libipsec, 'input')).toContain('ip daddr 10.79.0.1 counter name "dropped_in_protected" drop');
    expect(rulesOf(libipsec, 'output')).toContain('ip saddr 10.79.0.1 counter name "dropped_out_protected" drop');
    expect(rulesOf(kernel6, 'output')).toContain('ip6 saddr fd00:79::1 counter name "dropped_out_protected" drop');
  });

  it('gives equal text for equal specs, and other text for another backend', () => {
    expect(guardRuleset({ ...libipsec })).toBe(guardRuleset(libipsec));
    expect(guardRuleset({ ...libipsec, backend: 'kernel' })).not.toBe(guardRuleset(libipsec));
  });

  it('refuses what could smuggle words into the rules, or would cut the host off', () => {
    expect(refusal({ interface: 'eth0" accept; #' })).toBe('config-invalid');
    expect(refusal({ interface: '' })).toBe('config-invalid');
    expect(refusal({ underlay: '10.77.0.1; flush ruleset' })).toBe('config-invalid');
    expect(refusal({ underlay: '10.77.0.256' })).toBe('config-invalid');
    expect(refusal({ protected: '10.79.0.0/24' })).toBe('config-invalid');
    expect(refusal({ protected: 'fe80::1%eth0' })).toBe('config-invalid');
    expect(refusal({ protected: 'host.example' })).toBe('config-invalid');
    expect(refusal({ protected: '10.77.0.1' })).toBe('config-invalid');
  });
});

describe('an exemption', () => {
  it('replaces the one before it, in the set of its family, and ends by itself', () => {
    expect(exemptionScript('10.77.0.2', 60_000)).toBe(
      'add element inet plimsoll exempt4 { 10.77.0.2 }\n' +
        'delete element inet plimsoll exempt4 { 10.77.0.2 }\n' +
        'add element inet plimsoll exempt4 { 10.77.0.2 timeout 60000ms }\n',
    );
    expect(exemptionScript('2001:db8::2', 1)).toContain('exempt6 { 2001:db8::2 timeout 1ms }');
  });

  it('of no time ends now', () => {
    expect(exemptionScript('10.77.0.2', 0)).not.toContain('timeout');
  });

  it('is refused for what is no address or no time', () => {
    for (const [address, lifetimeMs] of [
      ['10.77.0.2 }; flush ruleset; #', 1],
      ['0.0.0.0/0', 1],
      ['host.example', 1],
      ['10.77.0.2', -1],
      ['10.77.0.2', 1.5],
      ['10.77.0.2', Number.POSITIVE_INFINITY],
    ] as const)
      expect(() => exemptionScript(address, lifetimeMs)).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
  });
});
