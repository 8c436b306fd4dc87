/** A lab in which a story happens: everything that is waited for is looked at and told on the way. */
import { ControllerClient } from '#cli/client.ts';
import { CliError } from '#cli/errors.ts';
import type { HostResource, PlanResource } from '#wire/api.ts';
import { formatPercent } from '#cli/format.ts';
import { join } from 'node:path';
import { type Capture, type Lab, LabError, type ScanResult, type Steering, waitFor } from '#lab/api.ts';
import { CHECKOUT } from '#lab/layout.ts';
import { run } from '#lab/process.ts';
import { Oracle } from '#test/faults/oracle/oracle.ts';
import { CpuLedger } from './cpu-ledger.ts';
import { loadLine, loadTable } from './loads.ts';
import { MoveTeller } from './move-teller.ts';
import { PlanTeller } from './plan-teller.ts';
import { background } from './story.ts';
import type { StoryLog } from './story-log.ts';
import { wireText } from './wire.ts';

const lookMs = 500;
/** A line now and then while nothing else happens. */
const aliveMs = 10_000;
/** What is left of the guests' boots in the smoothed loads. */
const quietPercentMax = 65;
const bootMsMax = 240_000;
const commandMsMax = 120_000;

/** Percent of a core that guests burn, by guest. */
export type Burning = Readonly<Record<string, number>>;

interface Doing {
  readonly what: string;
  readonly timeoutMs: number;
}

export class Stage {
  readonly lab: Lab;
  readonly client: ControllerClient;
  readonly log: StoryLog;
  readonly plans: PlanTeller;
  readonly moves: MoveTeller;
  readonly cpu: CpuLedger;
  readonly oracle: Oracle;
  readonly signal: AbortSignal;
  #hosts: readonly HostResource[] = [];
  #capture: Capture | undefined;
  #isTelling = false;

  private constructor(lab: Lab, oracle: Oracle, log: StoryLog, signal: AbortSignal) {
    this.lab = lab;
    this.oracle = oracle;
    this.log = log;
    this.signal = signal;
    this.client = new ControllerClient(lab.controllerSocket ?? '', signal);
    this.plans = new PlanTeller(log);
    this.moves = new MoveTeller(lab, this.client, log);
    this.cpu = new CpuLedger(lab);
  }

  static async open(lab: Lab, log: StoryLog, signal: AbortSignal): Promise<Stage> {
    return new Stage(lab, await Oracle.start(lab), log, signal);
  }

  async close(): Promise<void> {
    await this.#capture?.stop();
    await this.oracle.stop();
  }

  /** As they were at the last look. */
  get hosts(): readonly HostResource[] {
    return this.#hosts;
  }

  host(hostId: string): HostResource {
    const host = this.#hosts.find((one) => one.hostId === hostId);
    if (host === undefined) throw new LabError('lab-unknown-host', `the controller knows no ${hostId}`);
    return host;
  }

  /** Looks at everything until the condition holds. */
  async until(condition: () => boolean | Promise<boolean>, { what, timeoutMs }: Doing): Promise<void> {
    let toldAtMs = performance.now();
    const look = async (): Promise<boolean> => {
      await this.#look();
      if (await condition()) return true;
      if (!this.moves.idle) toldAtMs = performance.now();
      if (performance.now() - toldAtMs < aliveMs) return false;
      toldAtMs = performance.now();
      this.log.say('waiting', `for ${what}: ${loadLine(this.#hosts)}`);
      return false;
    };
    await waitFor(look, { what, timeoutMs, intervalMs: lookMs, signal: this.signal });
  }

  async #look(): Promise<void> {
    this.#hosts = await this.client.hosts();
    await this.cpu.look();
    if (!this.#isTelling) return;
    const plan = await this.newestPlan();
    if (plan !== null) this.plans.note(plan);
    await this.moves.look();
  }

  /** Null before the first round. */
  async newestPlan(): Promise<PlanResource | null> {
    try {
      return await this.client.latestPlan();
    } catch (error) {
      if (error instanceof CliError && error.code === 'plan-unknown') return null;
      throw error;
    }
  }

  /** The hosts have forgotten the boots of their guests, which do nothing yet. From here on everything is told. */
  async untilQuiet(): Promise<void> {
    const isQuiet = ({ status, cpuPercent }: HostResource) => status === 'up' && cpuPercent !== null && cpuPercent < quietPercentMax;
    await this.until(() => this.#hosts.length === this.lab.hosts.length && this.#hosts.every(isQuiet), {
      what: 'every host to be up and quiet after the boots',
      timeoutMs: bootMsMax,
    });
    await this.lab.client.reset();
    await this.tellLoads('quiet');
    this.#isTelling = true;
  }

  /** The guests burn so much CPU from now on; those that are not named burn none. */
  async burn(burning: Burning): Promise<void> {
    const steered = await Promise.all(
      this.lab.guests.map((guest): Promise<Steering> => guest.steer({ cpuPercent: burning[guest.name] ?? 0, ...background })),
    );
    const wanted = this.lab.guests.map(({ name }) => burning[name] ?? 0);
    if (steered.some(({ cpuPercent }, index) => cpuPercent !== wanted[index]))
      throw new LabError('lab-command-failed', 'a guest did not confirm its load');
    const said = Object.entries(burning).map(([name, percent]) => `${name} ${percent} %`);
    this.log.say('load', `in the guests, of a core: ${said.join(', ')}; the others beat, and write to memory and disk`);
  }

  async tellLoads(word: string): Promise<void> {
    const { vms } = await this.client.snapshot();
    this.#hosts = await this.client.hosts();
    this.log.say(word, loadTable(this.#hosts, vms));
  }

  /** Runs the product's own command, as an operator types it, and tells what it says. */
  async plimsoll(args: readonly string[]): Promise<void> {
    this.log.say('$', ['plimsoll', ...args.map((arg) => (/[\s*]/.test(arg) ? `'${arg}'` : arg))].join(' '));
    const env = { PLIMSOLL_CONTROLLER: `unix:${this.lab.controllerSocket ?? ''}` };
    const options = { env, signal: this.signal, timeoutMs: commandMsMax };
    const { code, stdout, stderr } = await run([join(CHECKOUT, 'bin', 'plimsoll'), ...args], options);
    const said = `${stdout}${stderr}`.trimEnd();
    if (said !== '') this.log.say('', said);
    if (code !== 0) throw new LabError('lab-command-failed', `'plimsoll ${args.join(' ')}' ended with code ${code}: ${stderr.trim()}`);
  }

  async startCapture(): Promise<void> {
    this.#capture = await this.lab.startCapture('story', this.signal);
  }

  async stopCapture(): Promise<ScanResult> {
    const capture = this.#capture;
    if (capture === undefined) throw new LabError('lab-command-failed', 'nothing is being captured');
    this.#capture = undefined;
    const scan = await this.lab.scan(await capture.stop(), this.signal);
    this.log.say('wire', wireText(scan));
    return scan;
  }

  /** So many planning rounds more; resolves with the moves that began meanwhile, and where the kernel's account of this time begins. */
  async watchRounds(rounds: number): Promise<{ readonly begun: number; readonly sinceMs: number }> {
    const sinceMs = performance.now();
    const before = this.moves.moved.length;
    const seen = new Set<string>();
    const first = await this.newestPlan();
    this.log.say('watching', `${rounds} more planning rounds: does anything move?`);
    const over = async () => {
      const plan = await this.newestPlan();
      if (plan !== null && plan.planId !== first?.planId) seen.add(plan.planId);
      return seen.size >= rounds && this.moves.idle;
    };
    await this.until(over, { what: `${rounds} planning rounds`, timeoutMs: 60_000 + rounds * 15_000 });
    const begun = this.moves.moved.length - before;
    const means = this.lab.hosts.map(({ name }) => `${name} ${formatPercent(this.cpu.meanPercent(name, sinceMs))}`);
    this.log.say('kernel', `mean of this time, by the CPU accounts of the hosts' control groups: ${means.join('   ')}`);
    this.log.say(
      'watched',
      `${seen.size} planning rounds, ${begun === 0 ? 'nothing moved' : `${begun} VMs moved`}: ${loadLine(this.#hosts)}`,
    );
    return { begun, sinceMs };
  }
}
