import { describe, expect, it } from 'vitest';
import type { GuardSpec } from '#core/ports.ts';
import { PlimsollError } from '#core/model/result.ts';
import { guardRuleset } from './guard-rules.ts';

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
