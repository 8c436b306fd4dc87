import { rm } from 'node:fs/promises';
import net from 'node:net';
import { FrameReader, encodeFrame } from '#drivers/strongswan/framing.ts';
import type { Section } from '#drivers/strongswan/message.ts';
import { type Packet, decodePacket, encodePacket } from '#drivers/strongswan/packet.ts';

/** What may go wrong with the next request of a name. */
export type Fault =
  | { readonly kind: 'cut' }
  | { readonly kind: 'garbage'; readonly bytes: Uint8Array }
  | { readonly kind: 'refuse'; readonly reason: string }
  /** The answer waits until `released`; everything behind it on this connection waits too, as in charon. */
  | { readonly kind: 'stall'; readonly released: Promise<void> };

/** Runs one command; `stream` sends an event to the asking connection only. Null: there is no such command. */
export type RunCommand = (name: string, message: Section, stream: (event: string, message: Section) => void) => Promise<Section> | null;

/** The server's side of VICI on a UNIX socket: frames, packets, registrations, one request at a time per connection. */
export class FakeWireServer {
  readonly #path: string;
  readonly #events: ReadonlySet<string>;
  readonly #runCommand: RunCommand;
  readonly #connections = new Set<FakeConnection>();
  readonly #faults = new Map<string, Fault>();
  readonly requests: string[] = [];
  #frozen: Promise<void> = Promise.resolve();
  #server: net.Server | undefined;

  constructor(path: string, events: readonly string[], runCommand: RunCommand) {
    this.#path = path;
    this.#events = new Set(events);
    this.#runCommand = runCommand;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  async listen(): Promise<void> {
    const server = net.createServer((socket) => {
      const connection = new FakeConnection(socket, (packet, from) => this.#answer(packet, from));
      this.#connections.add(connection);
      socket.on('close', () => this.#connections.delete(connection));
    });
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#path, resolve));
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    this.cut();
    await closed;
    await rm(this.#path, { force: true });
  }

  cut(): void {
    for (const connection of this.#connections) connection.cut();
  }

  freeze(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#frozen = promise;
    return resolve;
  }

  failNext(name: string, fault: Fault): void {
    this.#faults.set(name, fault);
  }

  raise(event: string, message: Section): void {
    for (const connection of this.#connections) connection.raise(event, message);
  }

  /** Bytes to every client, whatever they are. */
  sendRaw(bytes: Uint8Array): void {
    for (const connection of this.#connections) connection.sendRaw(bytes);
  }

  async #answer(packet: Packet, from: FakeConnection): Promise<void> {
    await this.#frozen;
    if (packet.type === 'event-register' || packet.type === 'event-unregister') {
      if (!this.#events.has(packet.name)) from.send({ type: 'event-unknown' });
      else from.register(packet.name, packet.type === 'event-register');
      return;
    }
    if (packet.type !== 'command-request') return from.cut();
    this.requests.push(packet.name);
    const fault = this.#faults.get(packet.name);
    this.#faults.delete(packet.name);
    if (fault !== undefined && (await this.#fail(fault, from))) return;
    const running = this.#runCommand(packet.name, packet.message, (event, message) => from.raise(event, message));
    from.send(running === null ? { type: 'command-unknown' } : { type: 'command-response', message: await running });
  }

  /** True when the fault was the whole answer. */
  async #fail(fault: Fault, from: FakeConnection): Promise<boolean> {
    if (fault.kind === 'stall') {
      await fault.released;
      return false;
    }
    if (fault.kind === 'cut') from.cut();
    else if (fault.kind === 'garbage') from.sendRaw(fault.bytes);
    else from.send({ type: 'command-response', message: { success: 'no', errmsg: fault.reason } });
    return true;
  }
}

class FakeConnection {
  readonly #socket: net.Socket;
  readonly #registered = new Set<string>();

  constructor(socket: net.Socket, answer: (packet: Packet, from: FakeConnection) => Promise<void>) {
    this.#socket = socket;
    const frames = new FrameReader();
    let last = Promise.resolve();
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      for (const frame of frames.push(chunk)) last = last.then(() => answer(decodePacket(frame), this));
    });
  }

  send(packet: Packet): void {
    this.sendRaw(encodeFrame(encodePacket(packet)));
  }

  sendRaw(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes);
  }

  register(event: string, on: boolean): void {
    if (on) this.#registered.add(event);
    else this.#registered.delete(event);
    this.send({ type: 'event-confirm' });
  }

  raise(event: string, message: Section): void {
    if (this.#registered.has(event)) this.send({ type: 'event', name: event, message });
  }

  cut(): void {
    this.#socket.destroy();
  }
}
