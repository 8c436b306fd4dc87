import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type LabHost, waitFor } from '#lab/api.ts';
import { ATTACK_PROGRAMS, checkPrerequisites } from '#lab/prerequisites.ts';
import { type Cluster, startCluster } from '#test/e2e/cluster.ts';
import type { ChannelEndResource } from '#wire/channel-api.ts';
import type { Results } from './results.ts';
import { Wire } from './wire.ts';

/** How long a refusal may take, and how soon a revocation must be everywhere. */
export const limits = { refusalMs: 10_000, revocationMs: 5000 } as const;

/** The cluster that is attacked: host1 and host2 have a channel, host3 has nothing to do with it. */
export class Site {
  readonly cluster: Cluster;
  readonly wire: Wire;
  readonly results: Results;

  private constructor(cluster: Cluster, wire: Wire, results: Results) {
    this.cluster = cluster;
    this.wire = wire;
    this.results = results;
  }

  static async build(results: Results): Promise<Site> {
    // Before the lab: without them the attacks would fail in the middle, and only there.
    await checkPrerequisites(ATTACK_PROGRAMS);
    const cluster = await startCluster({ name: 'attacks', hosts: 3, guests: 0 });
    return new Site(cluster, await Wire.tap(cluster.lab), results);
  }

  async down(): Promise<void> {
    await this.wire.release();
    await this.cluster.lab.down();
  }

  host(name: string): LabHost {
    return this.cluster.lab.host(name);
  }

  get client() {
    return this.cluster.client;
  }

  /** Makes the channel, or proves the one that is up, and leaves it up. */
  async keepChannel(from: string, to: string): Promise<void> {
    expect(await this.client.proveChannel(from, to, { keep: true })).toMatchObject({ refusal: null, kept: true });
  }

  async resetChannel(hostA: string, hostB: string): Promise<void> {
    const { ends } = await this.client.resetChannel(hostA, hostB);
    expect(ends.map(({ refusal }) => refusal)).toEqual([null, null]);
  }

  /** One end of a channel, as Plimsoll reports it. */
  async end(hostId: string, peerHostId: string): Promise<ChannelEndResource> {
    const { ends } = await this.client.channel(hostId, peerHostId);
    const end = ends.find((one) => one.hostId === hostId);
    if (end === undefined) throw new Error(`no end of ${hostId}`);
    return end;
  }

  /** What IPsec on host2 refused so far. */
  async errors() {
    const { errors } = await this.end('host2', 'host1');
    if (errors === null) throw new Error('host2 counts no errors');
    return errors;
  }

  /** What the guard on host2 does and has done. */
  async guard() {
    const { guard } = await this.end('host2', 'host1');
    if (guard === null) throw new Error('host2 does not tell of its guard');
    return guard;
  }

  /** The log of a host's charon from `offset` on. */
  async charonLog(hostId: string, offset = 0): Promise<string> {
    return (await readFile(join(this.host(hostId).directory, 'log/charon.log'), 'utf8')).slice(offset);
  }

  /** Runs a command in a host that has to succeed. */
  async must(hostId: string, argv: readonly string[]): Promise<void> {
    const { code, stderr } = await this.host(hostId).exec(argv);
    if (code !== 0) throw new Error(`${hostId}: '${argv.join(' ')}' ended with code ${code}: ${stderr}`);
  }

  /** Milliseconds from `startMs` until this is true. Being true too late is the caller's to judge. */
  async until(what: string, startMs: number, isTrue: () => Promise<boolean> | boolean): Promise<number> {
    await waitFor(isTrue, { what, timeoutMs: 3 * limits.refusalMs });
    return performance.now() - startMs;
  }
}
