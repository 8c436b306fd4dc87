import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { encodeDomain, encodeTypedParam } from '#drivers/libvirt/values.ts';
import { XdrEncoder } from '#drivers/libvirt/xdr-encoder.ts';

import { fakeJobParams, refOf, type FakeDomain } from './fake-domain.ts';
import { fakeAdminProcedures } from './fake-admin.ts';
import { fakeProcedures, type FakeProcedures } from './fake-procedures.ts';
import { adminProgram, FakeFault, FakePeer, faultBody, packet, remoteProgram, type FakeCall } from './fake-wire.ts';

export interface FakeLibvirtdOptions {
  /** The URI under which other fakes reach this one. */
  readonly uri?: string;
  readonly peers?: Map<string, FakeLibvirtd>;
  /** How long a migration copies. */
  readonly copyMs?: number;
}

/** One migration from here, from its start to its end or its loss. */
interface FakeMove {
  readonly abort: AbortController;
  readonly flags: number;
  readonly incoming: FakeDomain;
  /** Share of the memory that is there, 0 to 1. */
  share: number;
}

const flag = { live: 1, persistDestination: 8, undefineSource: 16, postCopy: 32_768, postCopyResume: 524_288 } as const;

/** `answer`: as libvirtd does. `stall`: reads and never answers, as a stopped process. */
export type FakeMood = 'answer' | 'stall';

/** The other side of the wire: speaks libvirt's RPC on a UNIX socket over a table of domains. */
export class FakeLibvirtd {
  readonly folder = mkdtempSync(join(tmpdir(), 'plimsoll-fake-'));
  readonly socketPath = join(this.folder, 'libvirt-sock');
  readonly adminSocketPath = join(this.folder, 'libvirt-admin-sock');
  readonly saveFolder = join(this.folder, 'save');
  readonly domains = new Map<string, FakeDomain>();
  readonly clients = new Set<FakePeer>();
  readonly options: FakeLibvirtdOptions;
  authTypes: readonly number[] = [0];
  /** Generations of the TLS identity: of the files, and as it is shown; null when it does not listen with TLS. */
  identityOnDisk = 1;
  identity: number | null = 1;
  /** Calls seen, by procedure number, in order. */
  readonly calls: number[] = [];
  #servers: Server[] = [];
  #mood: FakeMood = 'answer';
  #held: (() => void)[] = [];
  #nextId = 1;
  #nextCallback = 0;
  readonly #moves = new Map<string, FakeMove>();

  private constructor(options: FakeLibvirtdOptions) {
    this.options = options;
    if (options.uri !== undefined) options.peers?.set(options.uri, this);
  }

  static async start(options: FakeLibvirtdOptions = {}): Promise<FakeLibvirtd> {
    const fake = new FakeLibvirtd(options);
    await fake.listen();
    return fake;
  }

  async listen(): Promise<void> {
    await this.#listenAt(this.socketPath, remoteProgram, fakeProcedures);
    await this.#listenAt(this.adminSocketPath, adminProgram, fakeAdminProcedures);
    // As a daemon that starts: it reads its files.
    if (this.identity !== null) this.identity = this.identityOnDisk;
  }

  async #listenAt(path: string, program: number, procedures: FakeProcedures): Promise<void> {
    if (existsSync(path)) rmSync(path);
    const server = createServer((socket) => this.#serve(new FakePeer(socket, program), procedures));
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    server.once('error', reject);
    server.listen(path, () => resolve(undefined));
    await promise;
    this.#servers.push(server);
  }

  /** As a crash of the daemon: every connection breaks, the domains live on. */
  async crash(): Promise<void> {
    this.cut();
    this.#held = [];
    this.#mood = 'answer';
    for (const server of this.#servers.splice(0)) {
      const { promise, resolve } = Promise.withResolvers<undefined>();
      server.close(() => resolve(undefined));
      await promise;
    }
  }

  async stop(): Promise<void> {
    for (const move of this.#moves.values()) move.abort.abort();
    await this.crash();
    rmSync(this.folder, { recursive: true, force: true });
  }

  cut(): void {
    for (const client of this.clients) client.socket.destroy();
    this.clients.clear();
  }

  /** Bytes to every client, as they are. */
  spill(bytes: Uint8Array): void {
    for (const client of this.clients) client.send(bytes);
  }

  ping(): void {
    for (const client of this.clients) client.keepAlive(1);
  }

  /** Leaving `stall` answers everything that was held back, in order. */
  set mood(mood: FakeMood) {
    this.#mood = mood;
    const held = mood === 'answer' ? this.#held.splice(0) : [];
    for (const answer of held) answer();
  }

  /** A domain by the UUID of a reference, or libvirt's refusal. */
  find(uuid: string): FakeDomain {
    const domain = this.domains.get(uuid);
    if (domain === undefined) throw new FakeFault(42, `Domain not found: no domain with matching uuid '${uuid}'`);
    return domain;
  }

  start(domain: FakeDomain, paused: boolean): void {
    if (domain.id >= 0) throw new FakeFault(55, 'Requested operation is not valid: domain is already running');
    domain.id = this.#nextId;
    this.#nextId += 1;
    domain.state = paused ? 3 : 1;
    domain.reason = 1;
    domain.startedMs = performance.now();
    this.lifecycle(domain, 2, 0);
  }

  stopDomain(domain: FakeDomain, detail: number): void {
    if (domain.id < 0) throw new FakeFault(55, 'Requested operation is not valid: domain is not running');
    domain.id = -1;
    domain.state = 5;
    // virDomainShutoffReason has the same order as the details of the event, from 1 on.
    domain.reason = detail + 1;
    domain.job = null;
    this.lifecycle(domain, 5, detail);
    if (!domain.persistent) this.domains.delete(domain.uuid);
  }

  /** As libvirt 9.0 after a kill -9 in the moment in which it begins to start the process of an incoming copy. */
  orphan(domain: FakeDomain): void {
    Object.assign(domain, { state: 3, reason: 11, persistent: false, job: { side: 'in', orphaned: true } });
  }

  lifecycle(domain: FakeDomain, event: number, detail: number): void {
    this.#tell(0, 318, (body) => {
      encodeDomain(body, refOf(domain));
      body.i32(event).i32(detail);
    });
  }

  register(client: FakePeer, eventId: number): number {
    const id = this.#nextCallback;
    this.#nextCallback += 1;
    client.callbacks.set(id, eventId);
    return id;
  }

  /** The whole peer-to-peer migration, as the source's daemon runs it. */
  async migrate(uuid: string, destinationUri: string | null, flags: number): Promise<void> {
    const domain = this.find(uuid);
    if (domain.id < 0) throw new FakeFault(55, 'Requested operation is not valid: domain is not running');
    const peer = this.options.peers?.get(destinationUri ?? '');
    if (peer === undefined) throw new FakeFault(38, `unable to connect to server at '${destinationUri}': Connection refused`, 7);
    const move = (flags & flag.postCopyResume) === 0 ? this.#begin(domain, peer, flags) : this.#takeUp(domain);
    try {
      await this.#copy(domain, move);
    } catch {
      this.#fail(domain, peer, move);
    }
    this.#moves.delete(uuid);
    this.#switchOver(domain, move, peer);
  }

  /** Also of one that has failed: it waits to be taken up. */
  moveOf(domain: FakeDomain): FakeMove | null {
    return this.#moves.get(domain.uuid) ?? null;
  }

  abortJob(domain: FakeDomain, inPostCopy: boolean): void {
    const move = this.#moves.get(domain.uuid);
    if (move === undefined) throw new FakeFault(55, 'Requested operation is not valid: no job is active on the domain');
    if (domain.reason === 12 && !inPostCopy)
      throw new FakeFault(55, 'Requested operation is not valid: cannot abort migration in post-copy mode');
    move.abort.abort();
  }

  startPostCopy(domain: FakeDomain): void {
    const move = this.#moves.get(domain.uuid);
    if (move === undefined || domain.job === null)
      throw new FakeFault(55, 'Requested operation is not valid: post-copy can only be started while outgoing migration is in progress');
    if ((move.flags & flag.postCopy) === 0)
      throw new FakeFault(
        55,
        'Requested operation is not valid: switching to post-copy requires migration to be started with VIR_MIGRATE_POSTCOPY',
      );
    // QEMU refuses before its migration has begun, and libvirt hands on what QEMU said.
    if (move.share < 0.1) throw new FakeFault(1, "internal error: unable to execute QEMU command 'migrate-start-postcopy'");
    this.#enterPostCopy(domain, move);
  }

  /** The hosts lose each other, as far as post-copies from here go. */
  loseLink(): void {
    for (const [uuid, move] of this.#moves) if (this.find(uuid).reason === 12) move.abort.abort();
  }

  #begin(domain: FakeDomain, peer: FakeLibvirtd, flags: number): FakeMove {
    if ((peer.domains.get(domain.uuid)?.id ?? -1) >= 0)
      throw new FakeFault(9, `operation failed: domain '${domain.name}' is already active`);
    const incoming: FakeDomain = { ...domain, id: peer.#nextId, state: 3, reason: 11, persistent: false, job: { side: 'in' } };
    peer.#nextId += 1;
    peer.domains.set(domain.uuid, incoming);
    const move: FakeMove = { abort: new AbortController(), flags, incoming, share: 0 };
    this.#moves.set(domain.uuid, move);
    if ((flags & flag.live) === 0) this.#halt(domain);
    return move;
  }

  #takeUp(domain: FakeDomain): FakeMove {
    const failed = this.#moves.get(domain.uuid);
    if (failed === undefined || domain.reason !== 13)
      throw new FakeFault(55, `Requested operation is not valid: post-copy migration of domain ${domain.name} has not failed`);
    const move = { ...failed, abort: new AbortController() };
    this.#moves.set(domain.uuid, move);
    this.#enterPostCopy(domain, move);
    return move;
  }

  #halt(domain: FakeDomain): void {
    Object.assign(domain, { state: 3, reason: 2 });
    this.lifecycle(domain, 3, 1);
  }

  #enterPostCopy(domain: FakeDomain, { incoming }: FakeMove): void {
    Object.assign(domain, { state: 3, reason: 12 });
    Object.assign(incoming, { state: 1, reason: 10 });
    this.lifecycle(domain, 3, 7);
  }

  async #copy(domain: FakeDomain, move: FakeMove): Promise<void> {
    const copyMs = this.options.copyMs ?? 300;
    const startMs = performance.now() - move.share * copyMs;
    const totalBytes = Number(domain.memoryKib) * 1024;
    for (;;) {
      const elapsedMs = performance.now() - startMs;
      move.share = Math.min(1, elapsedMs / copyMs);
      domain.job = { side: 'out', params: fakeJobParams(domain, elapsedMs, BigInt(Math.round(totalBytes * move.share))) };
      if (move.incoming.id < 0) move.abort.abort();
      else if (move.share === 1) return;
      await sleep(Math.min(20, copyMs), undefined, { signal: move.abort.signal });
    }
  }

  /** In post-copy both halves stay, halted; else the VM goes on here. */
  #fail(domain: FakeDomain, peer: FakeLibvirtd, { incoming }: FakeMove): never {
    if (domain.reason === 12) {
      Object.assign(domain, { state: 3, reason: 13 });
      Object.assign(incoming, { state: 1, reason: 11 });
      throw new FakeFault(1, 'internal error: client socket is closed', 7);
    }
    this.#moves.delete(domain.uuid);
    Object.assign(domain, { job: null, state: 1, reason: 6 });
    peer.domains.delete(domain.uuid);
    throw new FakeFault(78, "operation aborted: job 'migration out' canceled by client");
  }

  #switchOver(domain: FakeDomain, { incoming, flags }: FakeMove, peer: FakeLibvirtd): void {
    const params = domain.job?.side === 'out' ? domain.job.params : [];
    if (domain.reason !== 12) this.#halt(domain);
    Object.assign(incoming, { state: 1, reason: 3, job: null, persistent: (flags & flag.persistDestination) !== 0 });
    peer.lifecycle(incoming, 4, 1);
    if ((flags & flag.undefineSource) !== 0) domain.persistent = false;
    this.stopDomain(domain, 3);
    this.#tell(21, 363, (body) => {
      encodeDomain(body, refOf(domain));
      body.array(params, 64, encodeTypedParam);
    });
  }

  #tell(eventId: number, procedure: number, fill: (body: XdrEncoder) => void): void {
    for (const client of this.clients) {
      for (const [callback, id] of client.callbacks) {
        if (id !== eventId) continue;
        const body = new XdrEncoder().i32(callback);
        fill(body);
        client.event(procedure, body);
      }
    }
  }

  #serve(client: FakePeer, procedures: FakeProcedures): void {
    this.clients.add(client);
    client.socket.on('close', () => this.clients.delete(client));
    client.listen(
      (call) => {
        this.calls.push(call.procedure);
        client.inFlight += 1;
        client.inFlightMost = Math.max(client.inFlightMost, client.inFlight);
        this.#whenAwake(() => void this.#answer(client, call, procedures));
      },
      () => this.#whenAwake(() => client.keepAlive(2)),
    );
  }

  #whenAwake(action: () => void): void {
    if (this.#mood === 'stall') this.#held.push(action);
    else action();
  }

  async #answer(client: FakePeer, call: FakeCall, procedures: FakeProcedures): Promise<void> {
    const body = new XdrEncoder();
    let status = 0;
    let bytes: Uint8Array;
    try {
      const run = procedures.get(call.procedure);
      if (run === undefined) throw new FakeFault(39, `unknown procedure: ${call.procedure}`, 7);
      await run({ fake: this, client, args: call.args, body });
      call.args.end();
      bytes = body.finish();
    } catch (error) {
      status = 1;
      bytes = faultBody(error instanceof FakeFault ? error : new FakeFault(1, `internal error: ${String(error)}`));
    }
    client.inFlight -= 1;
    client.send(packet(client.program, call.procedure, 1, call.serial, status, bytes));
  }
}
