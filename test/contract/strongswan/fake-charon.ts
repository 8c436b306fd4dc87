import type { ChannelProfile, IpsecBackend } from '#core/model/channel.ts';
import { channelAddresses } from '#core/channel/profiles.ts';
import type { Section } from '#drivers/strongswan/message.ts';
import { type CharonHost, addressesOf } from './charon-pair.ts';
import { acceptEachOther } from './fake-authentication.ts';
import { FakeCredentials, firstOf, sectionOf, textOf, valueOf } from './fake-credentials.ts';
import { FakeIkeTable, type Stream } from './fake-ike-table.ts';
import { FakeKernel } from './fake-kernel.ts';
import { connMessage, failed } from './fake-messages.ts';
import { type Fault, FakeWireServer } from './fake-wire-server.ts';

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
  readonly backend: IpsecBackend;
  readonly server: FakeWireServer;
  readonly kernel = new FakeKernel();
  readonly connections = new Map<string, Section>();
  readonly credentials = new FakeCredentials();
  readonly sas: FakeIkeTable;
  running = false;
  #received = 0;

  /** `hosts` holds the fakes that can reach each other, by underlay address. */
  constructor(name: string, number: number, socketPath: string, hosts: ReadonlyMap<string, FakeCharon>, backend: IpsecBackend) {
    this.name = name;
    this.underlay = `10.91.0.${number}`;
    this.protected = `10.92.0.${number}`;
    this.socketPath = socketPath;
    this.backend = backend;
    this.server = new FakeWireServer(socketPath, events, (command, message, stream) => this.#command(command, message, stream));
    this.sas = new FakeIkeTable(this, hosts);
  }

  get driverOptions(): { readonly runIp: FakeKernel['run']; readonly xfrmStatPath: string } {
    return { runIp: this.kernel.run, xfrmStatPath: '/nonexistent' };
  }

  async startCharon(): Promise<void> {
    await this.server.listen();
    this.running = true;
  }

  async killCharon(): Promise<void> {
    this.running = false;
    this.connections.clear();
    this.credentials.clear();
    this.sas.forget();
    await this.server.close();
  }

  freezeCharon(): Promise<() => void> {
    return Promise.resolve(this.server.freeze());
  }

  failNext(command: string, fault: Fault): void {
    this.server.failNext(command, fault);
  }

  send(to: CharonHost, profile: ChannelProfile, packetCount: number): Promise<void> {
    const target = channelAddresses(profile, addressesOf(to)).protected;
    if (this.sas.carry(target, packetCount) && to instanceof FakeCharon) to.#received += packetCount;
    return Promise.resolve();
  }

  received(): Promise<number> {
    const count = this.#received;
    this.#received = 0;
    return Promise.resolve(count);
  }

  /** The name of the connection to this peer whose owner and ours accept each other; null when there is none. */
  authenticate(connection: Section, from: FakeCharon): string | null {
    for (const [name, mine] of this.connections) {
      if (firstOf(mine['remote_addrs']) !== from.underlay) continue;
      if (acceptEachOther({ connection, credentials: from.credentials }, { connection: mine, credentials: this.credentials })) return name;
    }
    return null;
  }

  #command(name: string, message: Section, stream: Stream): Promise<Section> | null {
    const { credentials, connections, sas } = this;
    switch (name) {
      case 'version':
        return reply({ daemon: 'charon', version: '5.9.8', sysname: 'Linux', release: '6.1.0', machine: 'x86_64' });
      case 'stats':
        return reply(this.#stats());
      case 'load-cert':
        return reply(credentials.loadCert(textOf(message, 'type'), valueOf(message, 'data')) ? done : failed('parsing certificate failed'));
      case 'flush-certs':
        return reply(done);
      case 'load-key':
        return reply(this.#loadKey(message));
      case 'unload-key':
        return reply(credentials.unloadKey(textOf(message, 'id')) ? done : failed('key not found'));
      case 'get-keys':
        return reply({ keys: credentials.keyIds });
      case 'load-shared':
        credentials.loadShared(message);
        return reply(done);
      case 'unload-shared':
        credentials.unloadShared(textOf(message, 'id'));
        return reply(done);
      case 'get-shared':
        return reply({ keys: credentials.sharedIds });
      case 'clear-creds':
        credentials.clear();
        return reply(done);
      case 'load-conn':
        return reply(this.#loadConn(message));
      case 'unload-conn':
        return reply(connections.delete(textOf(message, 'name')) ? done : failed(`unload: connection not found`));
      case 'get-conns':
        return reply({ conns: [...connections.keys()] });
      case 'list-conns':
        for (const [conn, config] of connections) stream('list-conn', connMessage(conn, config));
        return reply({});
      case 'list-sas':
        for (const listed of sas.list(message)) stream('list-sa', listed);
        return reply({});
      case 'initiate':
        return sas.initiate(message, stream);
      case 'terminate':
        return reply(sas.terminate(message));
      case 'rekey':
        return reply(sas.rekey(message));
      default:
        return null;
    }
  }

  #stats(): Section {
    const carriers = this.backend === 'libipsec' ? ['kernel-libipsec', 'kernel-netlink'] : ['kernel-netlink'];
    return {
      uptime: { running: '1 second', since: 'Jan 01 00:00:00 2026' },
      workers: { total: '20', idle: '11', active: { critical: '4', high: '0', medium: '5', low: '0' } },
      ikesas: { total: String(this.sas.size), 'half-open': '0' },
      plugins: ['charon', 'random', 'nonce', 'openssl', ...carriers, 'socket-default', 'vici'],
    };
  }

  #loadKey(message: Section): Section {
    const id = this.credentials.loadKey(valueOf(message, 'data'));
    if (id === null) return failed('parsing ANY private key failed');
    this.server.raise('log', { group: 'CFG', level: '1', thread: '5', msg: 'loaded ANY private key' });
    return { ...done, id };
  }

  #loadConn(message: Section): Section {
    for (const name of Object.keys(message)) {
      const config = sectionOf(message, name);
      for (const child of Object.keys(sectionOf(config, 'children'))) {
        const mode = textOf(sectionOf(sectionOf(config, 'children'), child), 'mode');
        if (mode !== 'tunnel' && mode !== 'transport') return failed(`invalid value for: mode, config discarded`);
      }
      this.connections.set(name, config);
    }
    return done;
  }
}

function reply(message: Section): Promise<Section> {
  return Promise.resolve(message);
}
