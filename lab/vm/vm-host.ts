import { LabError } from '#lab/errors.ts';
import type { Layout } from '#lab/layout.ts';
import type { Machine } from '#lab/machine.ts';
import type { RunOptions, RunResult } from '#lab/process.ts';
import type { HostRecord } from '#lab/record.ts';
import { Supervisor } from '#lab/supervisor.ts';
import { runningGuests, virsh } from '#lab/virsh.ts';
import { runCommand } from './commands.ts';
import type { CommandOptions } from './commands.ts';
import { vmService } from './emulator.ts';
import { outerSocket, protectedAddress6, underlayAddress6 } from './paths.ts';

export type HostExecOptions = Pick<RunOptions, 'signal' | 'timeoutMs'> & Pick<CommandOptions, 'input'>;

/** A host that is a virtual machine, used from outside; its services are 'charon', 'libvirtd', 'virtlogd', 'virtlockd' and 'agent'. */
export class VmHost extends Supervisor {
  /** Address on the network between hosts, where traffic is captured; of the lab's IP version. */
  readonly underlay: string;
  /** Address on the host's loopback that only an IPsec channel reaches; of the lab's IP version. */
  readonly protected: string;
  /** The addresses of IP version 6, which every host has. */
  readonly underlay6: string;
  readonly protected6: string;
  /** Paths that work outside the host. */
  readonly libvirtSocket: string;
  readonly viciSocket: string;
  /** From 1. */
  readonly number: number;
  readonly #lab: Layout;
  readonly #switch: Machine;

  constructor(lab: Layout, record: HostRecord, number: number, onSwitch: Machine) {
    super(record.name, outerSocket(lab, record.name, 'lab-init.sock'));
    this.underlay = record.underlay;
    this.protected = record.protected;
    this.underlay6 = underlayAddress6(lab, number);
    this.protected6 = protectedAddress6(lab, number);
    this.libvirtSocket = outerSocket(lab, record.name, 'libvirt/libvirt-sock');
    this.viciSocket = outerSocket(lab, record.name, 'charon.vici');
    this.number = number;
    this.#lab = lab;
    this.#switch = onSwitch;
  }

  /** Runs a command as root in the host; a non-zero exit code is a value. Bounded by `timeoutMs` (default 60,000). */
  async exec(argv: readonly string[], options: HostExecOptions = {}): Promise<RunResult> {
    const { code, stdout, stderr } = await runCommand(outerSocket(this.#lab, this.name, 'lab-commands.sock'), argv, options);
    return { code, stdout: stdout.toString('utf8'), stderr: stderr.toString('utf8') };
  }

  /** Like `exec`; a non-zero exit code is a `lab-command-failed` error that shows what the command said. */
  async must(argv: readonly string[], options: HostExecOptions = {}): Promise<string> {
    const result = await this.exec(argv, options);
    if (result.code === 0) return result.stdout;
    const said = (result.stderr.trim() || result.stdout.trim()).slice(-2000);
    throw new LabError('lab-command-failed', `${this.name}: '${argv.join(' ')}' ended with code ${result.code}: ${said}`);
  }

  /** What a command writes to its standard output. @throws LabError `lab-command-failed` for a non-zero exit code. */
  async output(argv: readonly string[], options: HostExecOptions = {}): Promise<Buffer> {
    const result = await runCommand(outerSocket(this.#lab, this.name, 'lab-commands.sock'), argv, options);
    if (result.code === 0) return result.stdout;
    throw new LabError('lab-command-failed', `${this.name}: ${result.stderr.toString('utf8').trim()}`);
  }

  /** @throws LabError `lab-command-failed` when there is no such file. */
  readFile(path: string, options: HostExecOptions = {}): Promise<Buffer> {
    return this.output(['cat', '--', path], options);
  }

  /** Creates the folders above it; `mode` in octal digits. */
  async writeFile(path: string, content: string | Uint8Array, mode = '644', options: HostExecOptions = {}): Promise<void> {
    await this.must(['install', '-D', '-m', mode, '/dev/stdin', path], { ...options, input: content });
  }

  /** Pid inside the host of a service; undefined while it does not run. */
  async servicePid(name: string): Promise<number | undefined> {
    const status = await this.service(name);
    return status?.state === 'running' ? status.pidInside : undefined;
  }

  /** Kills a service (default SIGKILL) and returns the pid it had; process 1 starts it again after 0.1 s. */
  async killService(name: string, signal: NodeJS.Signals = 'SIGKILL'): Promise<number> {
    const pid = await this.servicePid(name);
    if (pid === undefined) throw new LabError('lab-unknown', `${this.name}: service '${name}' does not run`);
    await this.must(['kill', '-s', signal.slice(3), `${pid}`]);
    return pid;
  }

  /** libvirt's own client on this host's daemon. @throws LabError when it reports a failure. */
  virsh(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return virsh(this.#lab, this.name, args, options);
  }

  runningGuests(options: RunOptions = {}): Promise<string[]> {
    return runningGuests(this.#lab, this.name, options);
  }

  /** MTU of the interface on the underlay, as the host sees it; the link must carry it (`VmLab.setLinkMtu`). */
  async setInterfaceMtu(mtuBytes: number): Promise<void> {
    await this.must(['ip', 'link', 'set', 'eth0', 'mtu', `${mtuBytes}`]);
  }

  /** Pulls the plug: the host's QEMU ends at once. The rest of the lab goes on without it. */
  async kill(): Promise<void> {
    await this.#switch.killService(vmService(this.name));
  }
}
