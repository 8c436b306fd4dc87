import { Channels } from './channels.ts';
import type { ChannelRooms } from './closing.ts';
import { Gate } from './gate.ts';
import { ImageDesk } from './image-desk.ts';
import { Images } from './images.ts';
import { InheritedJobs } from './inherited-jobs.ts';
import { Lease } from './lease.ts';
import { MemoryWatch } from './memory-watch.ts';
import type { AgentParts, AgentSettings } from './parts.ts';
import { Paths } from './paths.ts';
import { Proofs } from './proofs.ts';
import type { Remembered } from './remembered.ts';
import { Sampler } from './sampler.ts';
import { Transfers } from './transfers.ts';
import { Trust } from './trust.ts';
import { Witnesses } from './witnesses.ts';

/** What one agent process is made of. */
export interface AgentRooms extends ChannelRooms {
  readonly gate: Gate;
  readonly transfers: Transfers;
  readonly inherited: InheritedJobs;
  readonly images: Images;
  readonly imageDesk: ImageDesk;
  readonly lease: Lease;
  readonly memoryWatch: MemoryWatch;
  readonly trust: Trust;
  readonly sampler: Sampler;
  readonly witnesses: Witnesses;
}

export function openRooms(parts: AgentParts, settings: AgentSettings, remembered: Remembered, bootId: string): AgentRooms {
  const gate = new Gate(settings.hostId, remembered, parts.ticketVerifier, () => parts.leaseBook.now().bootId);
  const channels = new Channels(parts, settings);
  const channelRooms = { channels, proofs: new Proofs(parts, settings, channels), paths: new Paths(parts, channels) };
  const transfers = new Transfers(parts, { ...channelRooms, gate }, settings.channelWatch);
  const images = new Images(parts, transfers);
  return {
    ...channelRooms,
    gate,
    transfers,
    inherited: new InheritedJobs(parts, { transfers, images, channels }, settings.channelWatch),
    images,
    imageDesk: new ImageDesk(parts.clock, parts.transports.incoming),
    lease: new Lease(parts, gate, bootId),
    memoryWatch: new MemoryWatch(parts, transfers),
    trust: new Trust(parts, channelRooms, transfers),
    sampler: new Sampler(parts, settings, bootId),
    witnesses: new Witnesses(parts.clock, parts.witness),
  };
}
