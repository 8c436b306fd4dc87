/** Keeps an eye on what protects the cluster, raises alarms, and has channels taken down that nothing uses. */
import type { HostId } from '#core/model/host.ts';
import type { Policy } from '#core/model/policy.ts';
import { pause } from '#core/time.ts';
import type { Alarm } from '#wire/api.ts';
import type { AgentLines } from './agent-lines.ts';
import { alarmsOf, findingsOf, type HostFacts, keyOf } from './alarms.ts';
import type { Certificates } from './certificates.ts';
import type { ClockSkews } from './clock-skews.ts';
import { inParallel } from './in-parallel.ts';
import type { ChannelsSeen, LeftChannels } from './left-channels.ts';
import type { Membership } from './membership.ts';
import type { CertificateSettings, ControllerParts } from './parts.ts';

const lookIntervalMs = 30_000;
const lookMsMax = 10_000;
const looksAtOnce = 32;

export interface WatchRooms {
  readonly parts: ControllerParts;
  readonly settings: CertificateSettings;
  readonly policy: Policy;
  readonly lines: AgentLines;
  readonly membership: Membership;
  readonly certificates: Certificates;
  readonly skews: ClockSkews;
  readonly left: LeftChannels;
}

export class SecurityWatch {
  readonly #rooms: WatchRooms;
  readonly #guards = new Map<HostId, boolean>();
  #alarms: readonly Alarm[] = [];

  constructor(rooms: WatchRooms) {
    this.#rooms = rooms;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (await pause(this.#rooms.parts.clock, lookIntervalMs, signal)) {
      await this.#look(signal);
      const known = new Set(this.#alarms.map(keyOf));
      for (const alarm of this.alarms()) {
        if (!known.has(keyOf(alarm)))
          this.#rooms.parts.log.warn('alarm', { code: alarm.code, subject: alarm.subject, message: alarm.sentence });
      }
    }
  }

  /** What is wrong now, with the guards as they were when last looked at. */
  alarms(): readonly Alarm[] {
    const { parts, settings, policy, membership, certificates } = this.#rooms;
    const nowMs = parts.clock.nowMs();
    const facts = {
      hosts: membership.records.map(({ hostId, joinedAtMs }) => this.#factsOf(hostId, joinedAtMs)),
      authority: parts.authority.state(),
      leafLifetimeMs: settings.leafLifetimeMs,
      clockSkewMsMax: policy.channel.clockSkewMsMax,
      longestRevocationList: certificates.longestList,
    };
    this.#alarms = alarmsOf(findingsOf(facts, nowMs), this.#alarms, nowMs);
    return this.#alarms;
  }

  /** Null before it was looked at. */
  guardInstalled(hostId: HostId): boolean | null {
    return this.#guards.get(hostId) ?? null;
  }

  #factsOf(hostId: HostId, joinedAtMs: number): HostFacts {
    const { lines, membership, certificates, skews } = this.#rooms;
    return {
      hostId,
      joinedAtMs,
      connected: lines.isUp(hostId),
      certificateEndsAtMs: certificates.endsAtMs(hostId),
      clockSkewMs: skews.of(hostId),
      guardInstalled: this.guardInstalled(hostId),
      revokedAtMs: membership.revokedAtMs(hostId),
      refusedAtMs: membership.refusedAtMs(hostId),
    };
  }

  /** A host that does not answer keeps what was seen last: that it is away is no news of its guard. */
  async #look(signal: AbortSignal): Promise<void> {
    const { lines, left } = this.#rooms;
    const seen = new Map<HostId, ChannelsSeen>();
    await inParallel(lines.hostIds, looksAtOnce, async (hostId) => {
      const list = await lines.command(hostId, 'channel.list', {}, lookMsMax, signal).catch(() => null);
      if (list === null) return;
      this.#guards.set(hostId, list.guard.installed);
      seen.set(hostId, list);
    });
    await left.end(seen, signal);
  }
}
