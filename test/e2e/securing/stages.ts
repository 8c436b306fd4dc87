/** How far the securing of a migration has come, read from what the daemons of a lab leave behind, without asking any of them. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { probePorts } from '#core/ports.ts';
import { type Lab, waitFor } from '#lab/api.ts';
import { Tail } from './tail.ts';

export interface Journey {
  readonly from: string;
  readonly to: string;
}

export interface Stage {
  readonly name: string;
  readonly begins: (signs: Signs) => Promise<boolean>;
}

/** In the order in which a migration goes through them. */
export const stages: readonly Stage[] = [
  { name: 'asked', begins: async () => true },
  { name: 'checked, tickets', begins: (signs) => signs.reached('checked') },
  { name: 'prepare', begins: (signs) => signs.charonSays('to', /added vici connection/) },
  { name: 'establish', begins: (signs) => signs.charonSays('from', /initiating IKE_SA/) },
  { name: 'fit', begins: (signs) => signs.charonSays('from', /CHILD_SA .* established/) },
  { name: 'listen', begins: (signs) => signs.udpPortOpen('to', probePorts.protected) },
  { name: 'probe', begins: (signs) => signs.charonSays('to', /parsed ESP header/) },
  { name: 'secured', begins: (signs) => signs.reached('secured') },
  { name: 'transfer start', begins: (signs) => signs.reached('copying') },
];

/** Follows one migration that begins after this. */
export class Signs {
  readonly #journey: Journey;
  readonly #controller: Tail;
  readonly #charons: Readonly<Record<keyof Journey, Tail>>;
  readonly #processOnes: Readonly<Record<keyof Journey, number>>;

  private constructor(
    journey: Journey,
    controller: Tail,
    charons: Readonly<Record<keyof Journey, Tail>>,
    processOnes: Readonly<Record<keyof Journey, number>>,
  ) {
    this.#journey = journey;
    this.#controller = controller;
    this.#charons = charons;
    this.#processOnes = processOnes;
  }

  static async of(lab: Lab, journey: Journey): Promise<Signs> {
    const charon = (name: string) => Tail.from(join(lab.host(name).directory, 'log/charon.log'));
    const pid1 = (name: string) => lab.host(name).machine.pid1();
    const controller = await Tail.from(join(dirname(lab.controllerSocket ?? ''), 'log/controller.log'));
    const charons = { from: await charon(journey.from), to: await charon(journey.to) };
    return new Signs(journey, controller, charons, { from: await pid1(journey.from), to: await pid1(journey.to) });
  }

  /** Resolves when this stage has begun; or a later one, if this one was too short to be seen. */
  async until(wanted: Stage): Promise<void> {
    const fromHere = stages.slice(stages.indexOf(wanted));
    const begun = async () => {
      for (const stage of fromHere) if (await stage.begins(this)) return true;
      if (await this.reached('failed')) throw new Error(`the migration to ${this.#journey.to} failed before '${wanted.name}'`);
      return false;
    };
    await waitFor(begun, { what: `the stage '${wanted.name}'`, timeoutMs: 60_000, intervalMs: 1 });
  }

  /** The newest stage that has begun. */
  async newest(): Promise<Stage | undefined> {
    for (const stage of stages.toReversed()) if (await stage.begins(this)) return stage;
    return undefined;
  }

  async reached(phase: string): Promise<boolean> {
    return (await this.#controller.text()).includes(`"phase":"${phase}"`);
  }

  async charonSays(end: keyof Journey, words: RegExp): Promise<boolean> {
    return words.test(await this.#charons[end].text());
  }

  /** By the kernel's own list: addresses and ports are in hex. */
  async udpPortOpen(end: keyof Journey, port: number): Promise<boolean> {
    const text = await readFile(`/proc/${this.#processOnes[end]}/net/udp`, 'utf8');
    return text.includes(`:${port.toString(16).toUpperCase().padStart(4, '0')} `);
  }
}
