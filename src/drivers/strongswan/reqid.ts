import { createHash } from 'node:crypto';
import type { HostId } from '#core/model/host.ts';

/** "P" in the top byte tells our SAs and policies in the kernel from everybody else's; charon counts its own up from 1. */
const mark = 0x50_00_00_00;
const markMask = 0xff_00_00_00;

/** The request ids that tie the kernel's policies to the SAs of one peer. */
export interface Reqids {
  readonly esp: number;
  readonly ah: number;
}

/**
 * Made from the peer's name, so that a process that knows nothing else finds what an earlier one left in the kernel.
 * 23 bits of hash: with a hundred peers on one host two share theirs with a probability of 0.06 %, and then closing the
 * channel to one takes the policies of the other too, whose traffic the guard drops until it is prepared again.
 */
export function reqidsOf(peerHostId: HostId): Reqids {
  const hash = createHash('sha256').update(peerHostId).digest().readUInt32BE(0) >>> 9;
  const esp = mark + hash * 2;
  return { esp, ah: esp + 1 };
}

/** True for a request id that Plimsoll gave. */
export function isOurReqid(reqid: number): boolean {
  return (reqid & markMask) >>> 0 === mark;
}
