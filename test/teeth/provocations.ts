/** Faults that the simulator does not have: what a confused or hostile controller sends, storage without its lock, plans that nobody checks. */
import type { Provocation } from './bug.ts';

const sendsCommand = `    const commandId = this.#parts.random.id();
`;

/** Tickets, and orders about a VM, once more, by the line that the host has by then. `epoch`: the controller's, as it says. */
function sendsAgain(afterMs: number, epoch: string): string {
  return `${sendsCommand}    if (name === 'ticket.accept' || 'vmEpoch' in args) {
      const again = { type: 'command', commandId: this.#parts.random.id(), controllerEpoch: ${epoch}, name, args, timeoutMs: 10_000 } as const;
      const sendAgain = () => this.#lines.get(hostId)?.facts && this.#lines.get(hostId)?.line.send(again);
      this.#parts.clock.sleep(${afterMs}, signal).then(sendAgain, () => undefined);
    }
`;
}

export const provocations = {
  repeatedOrders: {
    name: 'repeated-orders',
    what: 'tickets, and orders about a VM, come a second time half a minute later',
    file: 'src/controller/agent-lines.ts',
    find: sendsCommand,
    replace: sendsAgain(30_000, 'this.#epoch'),
  },
  formerController: {
    name: 'former-controller',
    what: 'tickets, and orders about a VM, come again in the name of the controller before this one',
    file: 'src/controller/agent-lines.ts',
    find: sendsCommand,
    replace: sendsAgain(1_000, 'Math.max(0, this.#epoch - 1)'),
  },
  noStorageLock: {
    name: 'no-storage-lock',
    what: 'the storage lets two hosts start one VM: the lease alone keeps them from it',
    file: 'src/sim/hypervisor.ts',
    find: `      if (holder) throw new PlimsollError('lock-held',`,
    replace: `      if (holder && vmId === '') throw new PlimsollError('lock-held',`,
  },
  noLinter: {
    name: 'no-linter',
    what: 'nothing looks over a plan before it is kept',
    file: 'src/controller/planning.ts',
    find: `    if (broken.length > 0) {`,
    replace: `    if (broken.length < 0) {`,
  },
} satisfies Readonly<Record<string, Provocation>>;
