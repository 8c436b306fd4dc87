import type { CallOptions } from './call.ts';
import { type ControlOptions, type ControlResult, runControl } from './control.ts';
import { StrongswanError } from './errors.ts';
import { Fields } from './fields.ts';
import type { Section, Value } from './message.ts';
import { type ChildSa, type IkeSa, readChildSa, readIkeSas } from './sa.ts';
import type { SharedKey } from './shared-keys.ts';
import { Session, type SessionState, type Subscription } from './session.ts';
import type { SessionLimits } from './session-limits.ts';
import type { OpenTransport } from './transport.ts';

export interface DaemonVersion {
  readonly daemon: string;
  readonly version: string;
  readonly system: string;
  readonly release: string;
  readonly machine: string;
}

export interface DaemonStats {
  readonly ikeSasTotal: number;
  readonly ikeSasHalfOpen: number;
  readonly workersTotal: number;
  readonly workersIdle: number;
  readonly plugins: readonly string[];
}

/** Each initiate or terminate holds one of charon's threads while it lasts; 16 threads is the least it should have. */
const controlsMax = 8;

/** Which SAs to list, rekey or end; an empty choice is every SA for listing and an error of charon's otherwise. */
export interface SaChoice {
  /** Name of the connection. */
  readonly ike?: string;
  readonly child?: string;
  readonly ikeId?: string;
  readonly childId?: string;
}

/** A line of charon's log; levels 0 and 1 only. */
export interface LogLine {
  readonly group: string;
  readonly level: number;
  readonly ikeName: string | undefined;
  readonly text: string;
}

/** An IKE_SA or CHILD_SA came up or went down; for a CHILD_SA, `sa.children` has that one only. */
export interface UpDown {
  readonly up: boolean;
  readonly sa: IkeSa;
}

/** An IKE_SA was replaced; its CHILD_SAs moved to the new one. */
export interface IkeRekeyed {
  readonly name: string;
  readonly oldUniqueId: string;
  readonly newUniqueId: string;
}

/** A CHILD_SA was replaced: new SPIs, new keys, counters from zero. */
export interface ChildRekeyed {
  readonly ikeName: string;
  readonly old: ChildSa;
  readonly new: ChildSa;
}

/**
 * charon's VICI commands as typed functions. Commands share one connection and run in order; initiate and terminate can
 * last seconds, so each gets a connection of its own. All reject with StrongswanError.
 */
export class ViciClient {
  readonly #open: OpenTransport;
  readonly #limits: Partial<SessionLimits>;
  readonly #session: Session;
  readonly #controls = new Set<Session>();

  constructor(open: OpenTransport, limits: Partial<SessionLimits> = {}) {
    this.#open = open;
    this.#limits = limits;
    this.#session = new Session(open, limits);
  }

  /** Grows with each connection made: what was loaded before may be gone with a restarted daemon. */
  get generation(): number {
    return this.#session.generation;
  }

  async version(options?: CallOptions): Promise<DaemonVersion> {
    const fields = new Fields(await this.#session.call('version', {}, options), 'version');
    return {
      daemon: fields.text('daemon'),
      version: fields.text('version'),
      system: fields.text('sysname'),
      release: fields.text('release'),
      machine: fields.text('machine'),
    };
  }

  async stats(options?: CallOptions): Promise<DaemonStats> {
    const fields = new Fields(await this.#session.call('stats', {}, options), 'stats');
    const ikeSas = fields.fields('ikesas');
    const workers = fields.fields('workers');
    return {
      ikeSasTotal: ikeSas.count('total'),
      ikeSasHalfOpen: ikeSas.count('half-open'),
      workersTotal: workers.count('total'),
      workersIdle: workers.count('idle'),
      plugins: fields.texts('plugins'),
    };
  }

  /**
   * An X.509 certificate (PEM text or DER bytes). A self-signed CA becomes an anchor of trust, another CA a link that chains
   * are built with. VICI can unload it by clear-creds only.
   */
  async loadCert(data: Value, options?: CallOptions): Promise<void> {
    await this.#session.call('load-cert', { type: 'X509', flag: 'NONE', data }, options);
  }

  /** A revocation list (DER); of two with one issuer charon keeps the newer. */
  async loadCrl(data: Uint8Array, options?: CallOptions): Promise<void> {
    await this.#session.call('load-cert', { type: 'X509_CRL', flag: 'NONE', data }, options);
  }

  /** Forgets which certificates and lists were found good; what was loaded stays. */
  async flushCerts(options?: CallOptions): Promise<void> {
    await this.#session.call('flush-certs', {}, options);
  }

  /** A private key (PEM or DER); returns charon's identifier of it (hex SHA-1 of the public key). */
  async loadKey(data: Value, options?: CallOptions): Promise<string> {
    return new Fields(await this.#session.call('load-key', { type: 'any', data }, options), 'load-key').text('id');
  }

  async unloadKey(id: string, options?: CallOptions): Promise<void> {
    await this.#session.call('unload-key', { id }, options);
  }

  async getKeys(options?: CallOptions): Promise<readonly string[]> {
    return new Fields(await this.#session.call('get-keys', {}, options), 'get-keys').texts('keys');
  }

  /** A pre-shared key for these identities; replaces the one with the same `id`. */
  async loadShared(key: SharedKey, options?: CallOptions): Promise<void> {
    await this.#session.call('load-shared', { ...key }, options);
  }

  async unloadShared(id: string, options?: CallOptions): Promise<void> {
    await this.#session.call('unload-shared', { id }, options);
  }

  async getShared(options?: CallOptions): Promise<readonly string[]> {
    return new Fields(await this.#session.call('get-shared', {}, options), 'get-shared').texts('keys');
  }

  /** Forgets every certificate and key that came over VICI, whoever loaded it. */
  async clearCreds(options?: CallOptions): Promise<void> {
    await this.#session.call('clear-creds', {}, options);
  }

  /** Adds or replaces a connection; `connection` in the words of swanctl.conf(5). SAs that are up stay. */
  async loadConn(name: string, connection: Section, options?: CallOptions): Promise<void> {
    await this.#session.call('load-conn', { [name]: connection }, options);
  }

  async unloadConn(name: string, options?: CallOptions): Promise<void> {
    await this.#session.call('unload-conn', { name }, options);
  }

  async getConns(options?: CallOptions): Promise<readonly string[]> {
    return new Fields(await this.#session.call('get-conns', {}, options), 'get-conns').texts('conns');
  }

  /** Every connection charon knows, by name, as charon describes it. */
  async listConns(options?: CallOptions): Promise<ReadonlyMap<string, Fields>> {
    const found = new Map<string, Fields>();
    const record = (message: Section): void => {
      for (const [name, fields] of new Fields(message, 'list-conn').sections()) found.set(name, fields);
    };
    await this.#session.stream('list-conns', 'list-conn', {}, record, options);
    return found;
  }

  async listSas(choice: SaChoice = {}, options?: CallOptions): Promise<readonly IkeSa[]> {
    const messages: Section[] = [];
    await this.#session.stream('list-sas', 'list-sa', choiceMessage(choice), (message) => messages.push(message), options);
    return messages.flatMap((message) => readIkeSas(message, 'list-sa'));
  }

  /**
   * Initiates a CHILD_SA and waits until it is up. Without the deadline charon retries for 165 s (measured). A
   * half-made IKE_SA goes on trying after the deadline: terminate it.
   */
  initiate(choice: { readonly ike: string; readonly child: string }, options: ControlOptions): Promise<ControlResult> {
    return this.#control('initiate', { ...choice, 'init-limits': 'no' }, options);
  }

  /** Ends SAs. `force` does not wait for the peer's answer to the DELETE. Fails with `strongswan-command-failed` when none match. */
  terminate(choice: SaChoice, options: ControlOptions & { readonly force?: boolean }): Promise<ControlResult> {
    return this.#control('terminate', { ...choiceMessage(choice), ...(options.force === true ? { force: 'yes' } : {}) }, options);
  }

  /** Queues a rekeying and returns the number of SAs it concerns; `ike-rekey` and `child-rekey` tell when it is done. */
  async rekey(choice: SaChoice, options?: CallOptions): Promise<number> {
    return new Fields(await this.#session.call('rekey', choiceMessage(choice), options), 'rekey').count('matches');
  }

  onIkeUpDown(listener: (change: UpDown) => void, options?: CallOptions): Subscription {
    return this.#onUpDown('ike-updown', listener, options);
  }

  onChildUpDown(listener: (change: UpDown) => void, options?: CallOptions): Subscription {
    return this.#onUpDown('child-updown', listener, options);
  }

  onIkeRekey(listener: (change: IkeRekeyed) => void, options?: CallOptions): Subscription {
    const event = 'ike-rekey';
    return this.#session.subscribe(
      event,
      (message) => {
        for (const [name, sa] of new Fields(message, event).sections()) {
          const idOf = (which: string): string => sa.fields(which).text('uniqueid');
          listener({ name, oldUniqueId: idOf('old'), newUniqueId: idOf('new') });
        }
      },
      options,
    );
  }

  onChildRekey(listener: (change: ChildRekeyed) => void, options?: CallOptions): Subscription {
    const event = 'child-rekey';
    return this.#session.subscribe(
      event,
      (message) => {
        for (const [ikeName, sa] of new Fields(message, event).sections()) {
          for (const [, child] of sa.fields('child-sas').sections()) {
            listener({ ikeName, old: readChildSa(child.fields('old')), new: readChildSa(child.fields('new')) });
          }
        }
      },
      options,
    );
  }

  onLog(listener: (line: LogLine) => void, options?: CallOptions): Subscription {
    return this.#session.subscribe(
      'log',
      (message) => {
        const fields = new Fields(message, 'log');
        listener({
          group: fields.text('group'),
          level: fields.count('level'),
          ikeName: fields.optionalText('ikesa-name'),
          text: fields.text('msg'),
        });
      },
      options,
    );
  }

  onState(listener: (state: SessionState) => void): () => void {
    return this.#session.onState(listener);
  }

  /** Drops all connections; what waits rejects with `strongswan-closed`. */
  close(): void {
    this.#session.close();
    for (const control of this.#controls) control.close();
  }

  async #control(command: string, message: Section, options: ControlOptions): Promise<ControlResult> {
    if (this.#controls.size >= controlsMax) throw controlsFull(command);
    const session = new Session(this.#open, this.#limits);
    this.#controls.add(session);
    try {
      return await runControl(session, command, message, options);
    } finally {
      session.close();
      this.#controls.delete(session);
    }
  }

  #onUpDown(event: string, listener: (change: UpDown) => void, options?: CallOptions): Subscription {
    return this.#session.subscribe(
      event,
      (message) => {
        const up = new Fields(message, event).flag('up');
        for (const sa of readIkeSas(message, event)) listener({ up, sa });
      },
      options,
    );
  }
}

function controlsFull(command: string): StrongswanError {
  return new StrongswanError(
    'strongswan-queue-full',
    `${command} was refused, because ${controlsMax} calls that make or end SAs are under way already: try again when they are done.`,
    { command },
  );
}

function choiceMessage(choice: SaChoice): Section {
  return {
    ...(choice.ike === undefined ? {} : { ike: choice.ike }),
    ...(choice.child === undefined ? {} : { child: choice.child }),
    ...(choice.ikeId === undefined ? {} : { 'ike-id': choice.ikeId }),
    ...(choice.childId === undefined ? {} : { 'child-id': choice.childId }),
  };
}
