// Makes the fuzz corpus anew: hand-made cases, and damaged captured packets, one for each reader and outcome. Deterministic.
// Run: node test/contract/libvirt/make-corpus.ts
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { outcomeOf } from './decoders.ts';
import { fixtureFolder, readFixtures } from './fixtures.ts';
import { notePacket } from './packet-layouts.ts';

const folder = join(fixtureFolder, 'corpus');

/** Lists announced without end, lengths beyond their bounds, and what else an attacker tries first. */
const byHand: readonly (readonly [string, string, string])[] = [
  ['stream-length-zero', 'stream', '00000000'],
  ['stream-length-below-header', 'stream', '0000001b'],
  ['stream-length-beyond-limit', 'stream', '02000005'],
  ['stream-length-huge', 'stream', 'ffffffff'],
  ['stream-limit-announced', 'stream', '02000004'],
  ['packet-length-disagrees', 'packet', `0000001d${'00'.repeat(24)}`],
  ['packet-header-cut', 'packet', '0000000820008086'],
  ['hostname-empty-body', 'reply 59', ''],
  ['hostname-length-huge', 'reply 59', 'ffffffff'],
  ['hostname-length-at-limit', 'reply 59', '00400000'],
  ['hostname-length-beyond-limit', 'reply 59', '00400001'],
  ['hostname-padding-dirty', 'reply 59', '0000000161000001'],
  ['hostname-not-utf8', 'reply 59', '00000002c3280000'],
  ['hostname-overlong-utf8', 'reply 59', '00000002c0af0000'],
  ['hostname-trailing', 'reply 59', '000000016100000000000000'],
  ['domains-count-huge', 'reply 273', 'ffffffff'],
  ['domains-count-at-limit-no-data', 'reply 273', '00004000'],
  ['domains-count-beyond-limit', 'reply 273', '00004001'],
  ['stats-records-at-limit-no-data', 'reply 344', '00004000'],
  ['job-params-beyond-limit', 'reply 298', '0000000000000041'],
  ['job-param-type-0', 'reply 298', '0000000000000001000000000000000000000000'],
  ['job-param-type-8', 'reply 298', '0000000000000001000000000000000800000000'],
  ['auth-types-beyond-limit', 'reply 66', '00000015'],
  ['fault-optional-two', 'fault', '0000002a0000000a00000002'],
  ['fault-cut-after-code', 'fault', '0000002a'],
  ['event-unknown', 'event 9999', 'ffffffff'],
  ['event-lifecycle-empty', 'event 318', ''],
];

/** A small generator of its own (xorshift), so that the corpus is the same on every machine. */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

function write(name: string, reader: string, bytes: Uint8Array): void {
  const hex = Buffer.from(bytes).toString('hex').replace(/.{64}/gu, '$&\n');
  const outcome = outcomeOf(reader, bytes);
  writeFileSync(join(folder, `${name}.hex`), `# reader: ${reader}\n# outcome: ${outcome}\n${hex}\n`);
}

function damage(body: Uint8Array, random: (below: number) => number): Uint8Array {
  const damaged = Uint8Array.from(body.subarray(0, random(4) === 0 ? random(body.length + 1) : body.length));
  for (let count = random(3); count >= 0; count -= 1) {
    if (damaged.length > 0) damaged[random(damaged.length)] = [0, 1, 2, 0x7f, 0xff][random(5)] ?? 0;
  }
  return damaged;
}

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
for (const [name, reader, hex] of byHand) write(name, reader, Buffer.from(hex, 'hex'));
for (const fixture of readFixtures()) {
  const packet = notePacket(fixture.bytes);
  if (packet === null || packet.side === 'call' || packet.side === 'keep-alive' || fixture.bytes.length > 3_000) continue;
  const reader = packet.side === 'error' ? 'fault' : `${packet.side} ${packet.procedure}`;
  const random = generator(fixture.bytes.length + packet.procedure);
  const seen = new Set<string>();
  for (let round = 0; round < 3_000; round += 1) {
    const bytes = damage(fixture.bytes.subarray(28), random);
    const outcome = outcomeOf(reader, bytes);
    if (outcome === 'decoded' || seen.has(outcome)) continue;
    seen.add(outcome);
    write(`damaged-${fixture.name}-${outcome}`, reader, bytes);
  }
}
