import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LogErrors, kernelErrors, readXfrmStat } from './error-counters.ts';

/** As Linux 6.1 writes it, shortened. */
const text = `XfrmInError             \t0
XfrmInNoStates          \t3
XfrmInStateProtoError   \t1
XfrmInStateSeqError     \t2
XfrmInTmplMismatch      \t4
XfrmInNoPols            \t99
XfrmInPolBlock          \t98
`;
const signal = new AbortController().signal;

describe("the kernel's counters", () => {
  it('are read by their meaning', () => {
    expect(readXfrmStat(text)).toEqual({ integrityPackets: 1, replayPackets: 2, unknownSpiPackets: 3, plainTextPackets: 4 });
  });

  it('are null where one is missing, or the file', async () => {
    expect(readXfrmStat(text.replace('XfrmInNoStates', 'XfrmOutNoStates'))).toBeNull();
    expect(readXfrmStat('')).toBeNull();
    expect(await kernelErrors('/nonexistent/xfrm_stat', signal)).toBeNull();
  });

  it('are read from the file that is named', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'plimsoll-xfrm-'));
    await writeFile(join(directory, 'xfrm_stat'), text);
    expect((await kernelErrors(join(directory, 'xfrm_stat'), signal))?.plainTextPackets).toBe(4);
    await rm(directory, { recursive: true });
  });
});

describe("what is counted from charon's log", () => {
  it('is what ESP refused, and nothing else', () => {
    const errors = new LogErrors();
    errors.record({ group: 'ESP', text: 'ESP decryption or ICV verification failed' });
    errors.record({ group: 'ESP', text: 'ESP sequence number verification failed:\n  src 10.0.0.1, dst 10.0.0.2, SPI c0000001 [seqno 3]' });
    errors.record({ group: 'ESP', text: 'inbound ESP packet does not belong to an installed SA' });
    errors.record({ group: 'IKE', text: 'ICV verification failed' });
    errors.record({ group: 'ESP', text: 'ESP: SA installed' });
    expect(errors.read()).toEqual({ integrityPackets: 1, replayPackets: 1, unknownSpiPackets: 1, plainTextPackets: 0 });
  });
});
