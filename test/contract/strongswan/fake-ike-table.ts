import { setTimeout as sleep } from 'node:timers/promises';
import type { Section } from '#drivers/strongswan/message.ts';
import type { FakeCharon } from './fake-charon.ts';
import { firstOf, sectionOf, textOf } from './fake-credentials.ts';
import { childSaMessage, failed, ikeSaMessage } from './fake-messages.ts';
import { type FakeChild, type FakeIke, agree, newChild, newSpi, selectorsOf } from './fake-sa.ts';

export type Stream = (event: string, message: Section) => void;

/** How long a CHILD_SA that was replaced stays listed; charon's 5 s would only make tests slow. */
const lingerMs = 300;

/** The SAs of one fake charon, and the exchanges that make, replace and end them together with the peer's. */
export class FakeIkeTable {
  readonly #host: FakeCharon;
  readonly #hosts: ReadonlyMap<string, FakeCharon>;
  #ikes: FakeIke[] = [];
  #lastId = 0;

  constructor(host: FakeCharon, hosts: ReadonlyMap<string, FakeCharon>) {
    this.#host = host;
    this.#hosts = hosts;
  }

  get size(): number {
    return this.#ikes.length;
  }

  /** As a crash would: the peers learn nothing. */
  forget(): void {
    this.#ikes = [];
  }

  list(message: Section): readonly Section[] {
    return this.#chosen(message).map((ike) => ikeSaMessage(ike, ike.children));
  }

  /** Packets to this address through the SA that selects it; false when there is none, or the peer has lost it. */
  carry(target: string, packetCount: number): boolean {
    const through = this.#ikes.flatMap((ike) =>
      ike.children.filter((child) => child.state === 'INSTALLED').map((child) => ({ ike, child })),
    );
    const out = through.filter(({ ike, child }) => ike.established && child.remoteSelectors.some((ts) => ts.startsWith(`${target}/32`)));
    for (const { ike, child } of out) {
      const other = ike.other?.children.find((candidate) => candidate.spiIn === child.spiOut);
      if (other === undefined || ike.other === null || !ike.peer.sas.#ikes.includes(ike.other)) return false;
      child.packetsOut += packetCount;
      child.bytesOut += packetCount * 34;
      other.packetsIn += packetCount;
      other.bytesIn += packetCount * 34;
    }
    return out.length > 0;
  }

  async initiate(message: Section, stream: Stream): Promise<Section> {
    const [name, child, timeoutMs] = [textOf(message, 'ike'), textOf(message, 'child'), Number(textOf(message, 'timeout') || '0')];
    const config = this.#host.connections.get(name);
    const childConfig = sectionOf(sectionOf(config ?? {}, 'children'), child);
    if (config === undefined || textOf(childConfig, 'mode') === '') return failed(`CHILD_SA config '${child}' not found`);
    const log = (text: string): void => stream('control-log', { group: 'IKE', level: '1', msg: text });
    const peer = this.#hosts.get(String(firstOf(config['remote_addrs'])));
    if (peer === undefined) return failed(`establishing CHILD_SA '${child}' failed`);
    const existing = this.#ikes.find((ike) => ike.name === name && ike.established);
    const ike = existing ?? this.#newIke(name, peer, true);
    if (existing === undefined) {
      log(`initiating IKE_SA ${name}[${ike.ikeId}] to ${peer.underlay}`);
      this.#ikes.push(ike);
    }
    if (!peer.running) {
      await sleep(timeoutMs);
      return failed(`CHILD_SA '${child}' not established after ${timeoutMs}ms`);
    }
    const refusal = existing === undefined ? this.#authenticate(ike, config) : null;
    const reason = refusal ?? this.#createChild(ike, child, childConfig);
    if (reason === null) return { success: 'yes' };
    log(`received ${reason} notify error`);
    if (refusal !== null) this.#ikes = this.#ikes.filter((candidate) => candidate !== ike);
    return failed(`establishing CHILD_SA '${child}' failed`);
  }

  terminate(message: Section): Section {
    const childId = textOf(message, 'child-id');
    if (childId !== '') return this.#terminateChild(childId);
    const matches = this.#chosen(message);
    for (const ike of matches) {
      this.#drop(ike);
      if (ike.other !== null) ike.peer.sas.#drop(ike.other);
    }
    const count = { matches: String(matches.length), terminated: String(matches.length) };
    return matches.length === 0 ? { ...failed('no matching SAs to terminate found'), ...count } : { success: 'yes', ...count };
  }

  #terminateChild(childId: string): Section {
    for (const ike of this.#ikes) {
      const child = ike.children.find(({ id }) => id === childId);
      if (child === undefined) continue;
      const theirs = ike.other?.children.find(({ spiIn }) => spiIn === child.spiOut);
      this.#dropChild(ike, child);
      if (ike.other !== null && theirs !== undefined) ike.peer.sas.#dropChild(ike.other, theirs);
      return { success: 'yes', matches: '1', terminated: '1' };
    }
    return { ...failed('no matching SAs to terminate found'), matches: '0', terminated: '0' };
  }

  #dropChild(ike: FakeIke, child: FakeChild): void {
    ike.children.splice(ike.children.indexOf(child), 1);
    this.#host.server.raise('child-updown', ikeSaMessage(ike, [child]));
  }

  rekey(message: Section): Section {
    const [child, childId] = [textOf(message, 'child'), textOf(message, 'child-id')];
    const ikes = this.#chosen(message);
    const children = ikes.flatMap((ike) =>
      ike.children
        .filter(({ name, id }) => (child !== '' && name === child) || (childId !== '' && id === childId))
        .map((found) => ({ ike, found })),
    );
    const whole = child === '' && childId === '';
    for (const { ike, found } of children) this.#rekeyChild(ike, found);
    if (whole) for (const ike of ikes) this.#rekeyIke(ike);
    const matches = whole ? ikes.length : children.length;
    if (matches === 0) return { ...failed('no matching SAs to rekey found'), matches: '0' };
    return { success: 'yes', matches: String(matches) };
  }

  #chosen(message: Section): readonly FakeIke[] {
    const wanted = (key: string, value: string): boolean => message[key] === undefined || message[key] === value;
    return this.#ikes.filter((ike) => wanted('ike', ike.name) && wanted('ike-id', ike.ikeId));
  }

  #nextId(): string {
    this.#lastId += 1;
    return String(this.#lastId);
  }

  #newIke(name: string, peer: FakeCharon, initiator: boolean): FakeIke {
    const ends = { local: this.#host, peer, initiator, other: null };
    return { name, ikeId: this.#nextId(), ...ends, established: false, postQuantumKey: false, children: [] };
  }

  /** Null when both accept each other; else the notify that the initiator gets. */
  #authenticate(ike: FakeIke, config: Section): string | null {
    const { peer } = ike;
    const name = peer.authenticate(config, this.#host);
    if (name === null) return 'AUTHENTICATION_FAILED';
    const theirs = peer.sas.#newIke(name, this.#host, false);
    // An authenticated first contact replaces what this identity had before (RFC 7296, 2.4).
    for (const stale of peer.sas.#ikes.filter((candidate) => candidate.name === name)) peer.sas.#drop(stale);
    peer.sas.#ikes.push(theirs);
    for (const [one, other] of [
      [ike, theirs],
      [theirs, ike],
    ] as const) {
      one.established = true;
      one.postQuantumKey = textOf(config, 'ppk_required') === 'yes';
      one.other = other;
      one.local.server.raise('ike-updown', { up: 'yes', ...ikeSaMessage(one, []) });
    }
    return null;
  }

  /** Null when it was made. A responder looks for the child by selectors first, and at its proposals only then. */
  #createChild(ike: FakeIke, name: string, config: Section): string | null {
    const { peer, other } = ike;
    const theirs = Object.entries(sectionOf(peer.connections.get(other?.name ?? '') ?? {}, 'children')) as [string, Section][];
    const [local, remote] = [selectorsOf(config, 'local_ts', this.#host.underlay), selectorsOf(config, 'remote_ts', peer.underlay)];
    const match = theirs.find(
      ([, candidate]) =>
        selectorsOf(candidate, 'remote_ts', this.#host.underlay).join() === local.join() &&
        selectorsOf(candidate, 'local_ts', peer.underlay).join() === remote.join(),
    );
    if (match === undefined || other === null) return 'TS_UNACCEPTABLE';
    const agreement = agree(config, match[1]);
    if (agreement === null) return 'NO_PROPOSAL_CHOSEN';
    const mine = newChild(config, agreement, name, this.#nextId(), ike);
    const answer = newChild(match[1], agreement, match[0], peer.sas.#nextId(), other);
    Object.assign(answer, { spiIn: mine.spiOut, spiOut: mine.spiIn });
    ike.children.push(mine);
    other.children.push(answer);
    for (const [one, child] of [
      [ike, mine],
      [other, answer],
    ] as const) {
      one.local.server.raise('child-updown', { up: 'yes', ...ikeSaMessage(one, [child]) });
    }
    return null;
  }

  #drop(ike: FakeIke): void {
    this.#ikes = this.#ikes.filter((candidate) => candidate !== ike);
    if (!ike.established) return;
    for (const child of ike.children) this.#host.server.raise('child-updown', ikeSaMessage(ike, [child]));
    this.#host.server.raise('ike-updown', ikeSaMessage(ike, []));
  }

  #rekeyIke(ike: FakeIke): void {
    const old = sectionOf(ikeSaMessage(ike, []), ike.name);
    ike.ikeId = this.#nextId();
    this.#host.server.raise('ike-rekey', { [ike.name]: { old, new: sectionOf(ikeSaMessage(ike, []), ike.name) } });
  }

  #rekeyChild(ike: FakeIke, child: FakeChild): void {
    const [spiIn, spiOut] = [newSpi(), newSpi()];
    const theirs = ike.other?.children.find(({ spiIn: theirSpi }) => theirSpi === child.spiOut);
    this.#replace(ike, child, spiIn, spiOut);
    if (ike.other !== null && theirs !== undefined) ike.peer.sas.#replace(ike.other, theirs, spiOut, spiIn);
  }

  #replace(ike: FakeIke, old: FakeChild, spiIn: string, spiOut: string): void {
    const zero = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 };
    const made: FakeChild = { ...old, id: this.#nextId(), state: 'INSTALLED', spiIn, spiOut, ...zero };
    old.state = 'REKEYED';
    ike.children.push(made);
    const children = { 'child-sas': { [old.name]: { old: childSaMessage(old, ike), new: childSaMessage(made, ike) } } };
    this.#host.server.raise('child-rekey', { [ike.name]: { ...sectionOf(ikeSaMessage(ike, []), ike.name), ...children } });
    const forget = (): void => void ike.children.splice(ike.children.indexOf(old), 1);
    setTimeout(forget, lingerMs).unref();
  }
}
