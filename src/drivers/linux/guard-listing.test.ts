import { describe, expect, it } from 'vitest';
import { readGuardListing } from './guard-listing.ts';

const seal = (one: string, other: string) => `\n\tset seal {\n\t\ttype mark\n\t\tcomment "${one.repeat(32)}:${other.repeat(32)}"\n\t}\n`;

/** As nft 1.0.6 prints `list table`. */
const listing = (options: { exempt?: string; packets?: number; flows?: string; rule?: string; seal?: string } = {}): string =>
  `table inet plimsoll {
	counter dropped_in_probe {
		packets ${options.packets ?? 0} bytes ${(options.packets ?? 0) * 72}
	}

	set exempt4 {
		type ipv4_addr
		flags timeout
${options.exempt === undefined ? '' : `\t\telements = { ${options.exempt} }\n`}	}

	set flows4 {
		type ipv4_addr . inet_service . ipv4_addr . inet_service
		size 65536
		flags dynamic,timeout
		timeout 7d
${options.flows === undefined ? '' : `\t\telements = { ${options.flows} }\n`}	}
${options.seal ?? ''}
	chain input {
		type filter hook input priority filter - 10; policy accept;
		${options.rule ?? 'udp dport { 500, 4500 } accept'}
	}
}
`;

const flow = '10.0.0.1 . 49152 . 10.0.0.2 . 40000 timeout 7d expires 6d23h59m59s';

describe('the listing of the guard', () => {
  it('has the same rules whatever was counted, remembered, exempted and sealed', () => {
    const { rules } = readGuardListing(listing());
    expect(readGuardListing(listing({ packets: 7 })).rules).toBe(rules);
    expect(readGuardListing(listing({ flows: `${flow},\n\t\t\t     ${flow}` })).rules).toBe(rules);
    expect(readGuardListing(listing({ exempt: '10.0.0.2 timeout 1h expires 59m59s952ms' })).rules).toBe(rules);
    expect(readGuardListing(listing({ seal: seal('a', 'b') })).rules).toBe(rules);
    expect(readGuardListing(listing({ rule: 'udp dport 500 accept' })).rules).not.toBe(rules);
  });

  it('tells counts, sets and seal', () => {
    const read = readGuardListing(listing({ packets: 7, seal: seal('a', 'b') }));
    expect(read.packets).toEqual(new Map([['dropped_in_probe', 7]]));
    expect(read.sets).toEqual(['exempt4', 'flows4', 'seal']);
    expect(read.seal).toEqual({ spec: 'a'.repeat(32), rules: 'b'.repeat(32) });
    expect(readGuardListing(listing()).seal).toBeNull();
  });

  it('tells the exempted peers, and whether the kernel ends them all', () => {
    const exemptionsOf = (exempt?: string) => readGuardListing(listing(exempt === undefined ? {} : { exempt })).exemptions;
    const ending = '10.0.0.2 timeout 1m30s expires 1m29s';
    expect(exemptionsOf()).toEqual({ peers: [], allEnd: true });
    expect(exemptionsOf(ending)).toEqual({ peers: ['10.0.0.2'], allEnd: true });
    expect(exemptionsOf(`${ending},\n\t\t\t     10.0.0.3`)).toEqual({ peers: ['10.0.0.2', '10.0.0.3'], allEnd: false });
    expect(exemptionsOf('10.0.0.2-10.0.0.9')).toEqual({ peers: [], allEnd: false });
  });

  it('does not take an element with a brace in its comment for none: the rules count as changed', () => {
    const { rules } = readGuardListing(listing());
    expect(readGuardListing(listing({ exempt: '10.0.0.2 timeout 1h expires 1h comment "}"' })).rules).not.toBe(rules);
  });
});
