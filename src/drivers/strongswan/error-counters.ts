import { readFile } from 'node:fs/promises';
import type { IpsecErrors } from '#core/model/channel.ts';
import type { LogLine } from './client.ts';

/** The kernel's counters of the network namespace that reads them (CONFIG_XFRM_STATISTICS). */
export const xfrmStatPath = '/proc/net/xfrm_stat';

/**
 * What the kernel's IPsec refused since it started, from the text of xfrm_stat. Meanings: Documentation/networking/xfrm_proc.rst
 * and the places that count them (xfrm_input.c, xfrm_policy.c). XfrmInTmplMismatch is a packet that did not come through the SAs
 * its policy wants, which plain text is; XfrmInNoPols is none: it counts packets that came through an SA without a policy. Null
 * when the text is not xfrm_stat's.
 */
export function readXfrmStat(text: string): IpsecErrors | null {
  const counters = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, name, count] = /^(\w+)\s+(\d+)\s*$/.exec(line) ?? [];
    if (name !== undefined) counters.set(name, Number(count));
  }
  const integrityPackets = counters.get('XfrmInStateProtoError');
  const replayPackets = counters.get('XfrmInStateSeqError');
  const unknownSpiPackets = counters.get('XfrmInNoStates');
  const plainTextPackets = counters.get('XfrmInTmplMismatch');
  if (integrityPackets === undefined || replayPackets === undefined) return null;
  if (unknownSpiPackets === undefined || plainTextPackets === undefined) return null;
  return { integrityPackets, replayPackets, unknownSpiPackets, plainTextPackets };
}

/** Null where the kernel does not count. */
export async function kernelErrors(path: string, signal: AbortSignal): Promise<IpsecErrors | null> {
  try {
    return readXfrmStat(await readFile(path, { encoding: 'utf8', signal }));
  } catch (error) {
    if (signal.aborted) throw error;
    return null;
  }
}

/**
 * What libipsec refused, counted from charon's log, its only trace (the wording is of src/libipsec in 5.9.8, and the contract
 * suite holds the real daemon to it). Counts from the start of this process, over restarts of charon; what happens while the VICI
 * connection is down is missed. Packets with an unknown SPI are in the log at level 2 only, which VICI does not deliver, and there
 * are no policies that plain text could break: both stay 0, and the guard counts plain text.
 */
export class LogErrors {
  #integrityPackets = 0;
  #replayPackets = 0;
  #unknownSpiPackets = 0;

  record({ group, text }: Pick<LogLine, 'group' | 'text'>): void {
    if (group !== 'ESP') return;
    if (text.includes('ICV verification failed')) this.#integrityPackets += 1;
    else if (text.includes('sequence number verification failed')) this.#replayPackets += 1;
    else if (text.includes('does not belong to an installed SA')) this.#unknownSpiPackets += 1;
  }

  read(): IpsecErrors {
    return {
      integrityPackets: this.#integrityPackets,
      replayPackets: this.#replayPackets,
      unknownSpiPackets: this.#unknownSpiPackets,
      plainTextPackets: 0,
    };
  }
}
