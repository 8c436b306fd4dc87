import { randomBytes } from 'node:crypto';
import type { Section } from '#drivers/strongswan/message.ts';
import type { CharonHost } from './charon-pair.ts';
import { FakeCredentials, accepts, firstOf, readCertificate, sectionOf } from './fake-credentials.ts';
import { type FakeSa, childSaMessage, connMessage, ikeSaMessage } from './fake-messages.ts';
import { type Fault, FakeWireServer } from './fake-wire-server.ts';

type Stream = (event: string, message: Section) => void;

const events = ['list-sa', 'list-conn', 'control-log', 'ike-updown', 'child-updown', 'ike-rekey', 'child-rekey', 'log'];
const done: Section = { success: 'yes' };

/**
 * A charon that speaks VICI on a real socket and IKE with other fakes in the same process: connections, credentials,
 * SAs with counters, events. What it answers was read off the real 5.9.8 and is held to it by the contract suite.
 */
export class FakeCharon implements CharonHost {
  readonly name: string;
  readonly underlay: string;
  readonly protected: string;
  readonly socketPath: string;
  readonly server: FakeWireServer;
  readonly #hosts: ReadonlyMap<string, FakeCharon>;
  readonly #connections = new Map<string, Section>();
  readonly #credentials = new FakeCredentials();
  #sas: FakeSa[] = [];
  #lastId = 0;
  #running = false;

  /** `hosts` holds the fakes that can reach each other, by underlay address. */
  constructor(name: string, number: number, socketPath: string, hosts: ReadonlyMap<string, FakeCharon>) {
    this.name = name;
    this.underlay = `10.91.0.${number}`;
    this.protected = `10.92.0.${number}`;
    this.socketPath = socketPath;
    this.#hosts = hosts;
    this.server = new FakeWireServer(socketPath, events, (command, message, stream) => this.#command(command, message, stream));
  }

  async startCharon(): Promise<void> {
    await this.server.listen();
    this.#running = true;
  }

  async killCharon(): Promise<void> {
    this.#running = false;
    this.#connections.clear();
    this.#credentials.clear();
    this.#sas = [];
    await this.server.close();
  }

  freezeCharon(): Promise<() => void> {
    return Promise.resolve(this.server.freeze());
  }

  failNext(command: string, fault: Fault): void {
    this.server.failNext(command, fault);
  }

  send(to: CharonHost, packetCount: number): Promise<void> {
    const sa = this.#sas.find((candidate) => candidate.peer.protected === to.protected && candidate.established);
    const other = sa === undefined ? undefined : sa.peer.#sas.find((candidate) => candidate.spiIn === sa.spiOut);
    if (sa !== undefined && other !== undefined) {
      sa.packetsOut += packetCount;
      sa.bytesOut += packetCount * 34;
      other.packetsIn += packetCount;
      other.bytesIn += packetCount * 34;
    }
    return Promise.resolve();
  }

  #command(name: string, message: Section, stream: Stream): Promise<Section> | null {
    const text = (key: string): string => asText(message[key]);
    switch (name) {
      case 'version':
        return reply({ daemon: 'charon', version: '5.9.8', sysname: 'Linux', release: '6.1.0', machine: 'x86_64' });
      case 'stats':
        return reply(this.#stats());
      case 'load-cert':
        return reply(readCertificate(asValue(message['data'])) === null ? failed('parsing X509 certificate failed') : done);
      case 'load-key':
        return reply(this.#loadKey(message));
      case 'unload-key':
        return reply(this.#credentials.unloadKey(text('id')) ? done : failed('key not found'));
      case 'get-keys':
        return reply({ keys: this.#credentials.keyIds });
      case 'load-shared':
        this.#credentials.loadShared(text('id'));
        return reply(done);
      case 'unload-shared':
        return reply(this.#credentials.unloadShared(text('id')) ? done : failed('shared key not found'));
      case 'get-shared':
        return reply({ keys: this.#credentials.sharedIds });
      case 'clear-creds':
        this.#credentials.clear();
        return reply(done);
      case 'load-conn':
        return reply(this.#loadConn(message));
      case 'unload-conn':
        return reply(this.#connections.delete(text('name')) ? done : failed(`unload: connection '${text('name')}' not found`));
      case 'get-conns':
        return reply({ conns: [...this.#connections.keys()] });
      case 'list-conns':
        for (const [conn, config] of this.#connections) stream('list-conn', connMessage(conn, config));
        return reply({});
      case 'list-sas':
        for (const sa of this.#chosen(message)) stream('list-sa', ikeSaMessage(sa, this, true));
        return reply({});
      case 'initiate':
        return this.#initiate(message, stream);
      case 'terminate':
        return reply(this.#terminate(message));
      case 'rekey':
        return reply(this.#rekey(message));
      default:
        return null;
    }
  }

  #stats(): Section {
    return {
      uptime: { running: '1 second', since: 'Jan 01 00:00:00 2026' },
      workers: { total: '20', idle: '11', active: { critical: '4', high: '0', medium: '5', low: '0' } },
      ikesas: { total: String(this.#sas.length), 'half-open': '0' },
      plugins: ['charon', 'random', 'nonce', 'openssl', 'kernel-libipsec', 'kernel-netlink', 'socket-default', 'vici'],
    };
  }

  #loadKey(message: Section): Section {
    const id = this.#credentials.loadKey(asValue(message['data']));
    if (id === null) return failed('parsing ANY private key failed');
    this.server.raise('log', { group: 'CFG', level: '1', thread: '5', msg: 'loaded ANY private key' });
    return { ...done, id };
  }

  #loadConn(message: Section): Section {
    for (const name of Object.keys(message)) {
      const config = sectionOf(message, name);
      for (const child of Object.values(sectionOf(config, 'children'))) {
        const mode = asText((child as Section)['mode'] ?? 'tunnel');
        if (mode !== 'tunnel' && mode !== 'transport') return failed(`invalid value for: mode, config discarded`);
      }
      this.#connections.set(name, config);
    }
    return done;
  }

  #chosen(message: Section): readonly FakeSa[] {
    const wanted = (key: string, value: string): boolean => message[key] === undefined || message[key] === value;
    return this.#sas.filter(
      (sa) => wanted('ike', sa.name) && wanted('ike-id', sa.ikeId) && wanted('child', sa.childName) && wanted('child-id', sa.childId),
    );
  }

  async #initiate(message: Section, stream: Stream): Promise<Section> {
    const [ike, child, timeoutMs] = [asText(message['ike']), asText(message['child']), Number(asText(message['timeout'] ?? '0'))];
    const config = this.#connections.get(ike);
    if (config === undefined || sectionOf(config, 'children')[child] === undefined) return failed(`CHILD_SA config '${child}' not found`);
    const log = (text: string): void => stream('control-log', { group: 'IKE', level: '1', msg: text });
    const peer = this.#hosts.get(asText(firstOf(config['remote_addrs'])));
    if (peer === undefined) return failed(`establishing CHILD_SA '${child}' failed`);
    log(`initiating IKE_SA ${ike}[${this.#lastId + 1}] to ${peer.underlay}`);
    const mine = this.#newSa(ike, child, peer, true);
    this.#sas.push(mine);
    if (!peer.#running) {
      await new Promise((resolve) => setTimeout(resolve, timeoutMs));
      return failed(`CHILD_SA '${child}' not established after ${timeoutMs}ms`);
    }
    const theirs = this.#authenticated(config, peer);
    if (theirs === null) {
      this.#sas = this.#sas.filter((sa) => sa !== mine);
      log('received AUTHENTICATION_FAILED notify error');
      return failed(`establishing CHILD_SA '${child}' failed`);
    }
    peer.#respond(theirs, child, this, mine);
    mine.established = true;
    this.#raiseUpDown(mine, true);
    return done;
  }

  /** The name of the peer's connection that matches, when both sides accept each other. */
  #authenticated(config: Section, peer: FakeCharon): string | null {
    for (const [name, theirs] of peer.#connections) {
      const local = sectionOf(config, 'local');
      const certificate = readCertificate(firstOf(local['certs']));
      const known = certificate !== null && this.#credentials.hasKeyOf(certificate);
      const mutual = accepts(local, sectionOf(theirs, 'remote')) && accepts(sectionOf(theirs, 'local'), sectionOf(config, 'remote'));
      if (asText(firstOf(theirs['remote_addrs'])) === this.underlay && known && mutual) return name;
    }
    return null;
  }

  #respond(name: string, child: string, initiator: FakeCharon, theirs: FakeSa): void {
    // An authenticated first contact replaces what this identity had before (RFC 7296, 2.4).
    for (const stale of this.#sas.filter((sa) => sa.name === name)) this.#drop(stale);
    const sa = this.#newSa(name, child, initiator, false);
    sa.spiIn = theirs.spiOut;
    sa.spiOut = theirs.spiIn;
    sa.established = true;
    this.#sas.push(sa);
    this.#raiseUpDown(sa, true);
  }

  #newSa(name: string, childName: string, peer: FakeCharon, initiator: boolean): FakeSa {
    this.#lastId += 1;
    const id = String(this.#lastId);
    const spi = (): string => randomBytes(4).toString('hex');
    const counters = { bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 };
    return { name, childName, ikeId: id, childId: id, peer, initiator, established: false, spiIn: spi(), spiOut: spi(), ...counters };
  }

  #terminate(message: Section): Section {
    const matches = this.#chosen(message);
    for (const sa of matches) {
      const other = sa.peer.#sas.find((candidate) => candidate.spiIn === sa.spiOut);
      this.#drop(sa);
      if (other !== undefined) sa.peer.#drop(other);
    }
    const count = { matches: String(matches.length), terminated: String(matches.length) };
    return matches.length === 0 ? { ...failed('no matching SAs to terminate found'), ...count } : { ...done, ...count };
  }

  #drop(sa: FakeSa): void {
    this.#sas = this.#sas.filter((candidate) => candidate !== sa);
    if (sa.established) this.#raiseUpDown(sa, false);
  }

  #rekey(message: Section): Section {
    const matches = this.#chosen(message);
    for (const sa of matches) {
      if (message['child'] === undefined && message['child-id'] === undefined) this.#rekeyIke(sa);
      else this.#rekeyChild(sa);
    }
    if (matches.length === 0) return { ...failed('no matching SAs to rekey found'), matches: '0' };
    return { ...done, matches: String(matches.length) };
  }

  #rekeyIke(sa: FakeSa): void {
    const old = sectionOf(ikeSaMessage(sa, this, false), sa.name);
    this.#lastId += 1;
    sa.ikeId = String(this.#lastId);
    this.server.raise('ike-rekey', { [sa.name]: { old, new: sectionOf(ikeSaMessage(sa, this, false), sa.name) } });
  }

  #rekeyChild(sa: FakeSa): void {
    const other = sa.peer.#sas.find((candidate) => candidate.spiIn === sa.spiOut);
    const old = childSaMessage(sa);
    this.#lastId += 1;
    sa.childId = String(this.#lastId);
    sa.spiIn = randomBytes(4).toString('hex');
    sa.spiOut = randomBytes(4).toString('hex');
    if (other !== undefined) Object.assign(other, { spiIn: sa.spiOut, spiOut: sa.spiIn });
    const children = { 'child-sas': { [sa.childName]: { old, new: childSaMessage(sa) } } };
    const ike = sectionOf(ikeSaMessage(sa, this, false), sa.name);
    this.server.raise('child-rekey', { [sa.name]: { ...ike, ...children } });
  }

  #raiseUpDown(sa: FakeSa, up: boolean): void {
    const flag: Section = up ? { up: 'yes' } : {};
    this.server.raise('ike-updown', { ...flag, ...ikeSaMessage(sa, this, false) });
    this.server.raise('child-updown', { ...flag, ...ikeSaMessage(sa, this, true) });
  }
}

function reply(message: Section): Promise<Section> {
  return Promise.resolve(message);
}

function failed(reason: string): Section {
  return { success: 'no', errmsg: reason };
}

function asText(element: Section[string] | undefined): string {
  return typeof element === 'string' ? element : '';
}

function asValue(element: Section[string] | undefined): string | Uint8Array {
  return typeof element === 'string' || element instanceof Uint8Array ? element : '';
}
