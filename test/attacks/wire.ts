import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Lab, waitFor } from '#lab/api.ts';
import { type Frame, readFrames, writeFrames } from './frames.ts';

const waitMsMax = 30_000;
/** States of a bridge's port (linux/if_bridge.h). */
const portState = { disabled: '0', forwarding: '3' } as const;

/** A stranger on the network between the hosts: reads every frame, holds frames back, and sends what it likes. */
export class Wire {
  readonly #lab: Lab;
  readonly #folder: string;
  #number = 0;

  private constructor(lab: Lab, folder: string) {
    this.#lab = lab;
    this.#folder = folder;
  }

  static async tap(lab: Lab): Promise<Wire> {
    return new Wire(lab, await mkdtemp(join(tmpdir(), 'plimsoll-wire-')));
  }

  async release(): Promise<void> {
    await rm(this.#folder, { recursive: true });
  }

  /** The first `count` frames that match tcpdump's filter from the start of `send` on. None of them, nor anything else, reaches the host. */
  async withhold(host: string, filter: string, count: number, send: () => Promise<unknown>): Promise<readonly Frame[]> {
    const { switch: machine } = this.#lab;
    this.#number += 1;
    const name = `withhold-${this.#number}`;
    const [file, log] = [join(this.#folder, `${name}.pcap`), join(this.#folder, `${name}.log`)];
    const argv = ['tcpdump', '-i', 'br0', '-s', '0', '-n', '--immediate-mode', '-Z', 'root', '-c', `${count}`, '-w', file, filter];
    await machine.startService({ name, argv, restart: 'never', log });
    const listens = async () => (await readFile(log, 'utf8').catch(() => '')).includes('listening on');
    await waitFor(listens, { what: `tcpdump (its log: ${log})`, timeoutMs: waitMsMax });
    await this.#setPort(host, 'disabled');
    try {
      await send();
      const ended = async () => (await machine.service(name))?.state === 'stopped';
      await waitFor(ended, { what: `${count} frames (${filter})`, timeoutMs: waitMsMax });
    } finally {
      await this.#setPort(host, 'forwarding');
    }
    return readFrames(file);
  }

  /** Every frame on the network while `work` runs. */
  async watch(work: () => Promise<unknown>): Promise<readonly Frame[]> {
    const capture = await this.#lab.startCapture('attack');
    try {
      await work();
    } finally {
      await capture.stop();
    }
    return readFrames(capture.file);
  }

  /** Sends frames; returns when they are out. */
  async inject(frames: readonly Buffer[]): Promise<void> {
    const file = join(this.#folder, 'inject.pcap');
    await writeFrames(file, frames);
    const { code, stderr } = await this.#lab.switch.exec(['tcpreplay', '--quiet', '--intf1=br0', file]);
    if (code !== 0) throw new Error(`tcpreplay ended with code ${code}: ${stderr.slice(-1000)}`);
  }

  async #setPort(host: string, state: keyof typeof portState): Promise<void> {
    const { code, stderr } = await this.#lab.switch.exec(['bridge', 'link', 'set', 'dev', `u-${host}`, 'state', portState[state]]);
    if (code !== 0) throw new Error(`the port of ${host} is not ${state}: ${stderr}`);
  }
}
