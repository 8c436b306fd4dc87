/** Makes the events of a scenario happen: to the world, to processes, or as an operator's command. */
import type { Controller } from '#controller/controller.ts';
import { refusalOf } from '#core/model/result.ts';
import type { Actors } from './actors.ts';
import type { DecisionLog } from './decision-log.ts';
import { FaultHappenings } from './fault-happenings.ts';
import { controllerNode } from './network.ts';
import { placementCommand } from './placement-happenings.ts';
import { PlanHappenings } from './plan-happenings.ts';
import type { PlacementWatch } from './placement-watch.ts';
import type { ScenarioEvent } from './scenario.ts';
import type { World } from './world.ts';

const defaultOperator = 'operator';

export class Happenings {
  readonly #world: World;
  readonly #actors: Actors;
  readonly #log: DecisionLog;
  readonly #faults: FaultHappenings;
  readonly #plans: PlanHappenings;
  readonly #placement: PlacementWatch;

  constructor(world: World, actors: Actors, log: DecisionLog, placement: PlacementWatch) {
    this.#world = world;
    this.#actors = actors;
    this.#log = log;
    this.#plans = new PlanHappenings(log);
    this.#placement = placement;
    this.#faults = new FaultHappenings(world, actors, (sentence) => this.#note(sentence));
  }

  apply(event: ScenarioEvent): void {
    // What a guest asks for is a matter of its hosts alone, which say themselves that they have changed.
    if (event.do === 'demand' || event.do === 'dirty') this.#world.touchVm(this.#world.guest(event.vm).vmId);
    else this.#world.touch();
    switch (event.do) {
      case 'demand':
        this.#note(`${event.vm} now asks for ${event.cores} cores`);
        this.#changeGuest(event.vm, () => {
          this.#world.guest(event.vm).demandCores = event.cores;
        });
        return;
      case 'dirty':
        this.#note(`${event.vm} now writes ${event.mibPerSecond} MiB/s to its memory`);
        this.#world.guest(event.vm).dirtyBytesPerSecond = event.mibPerSecond * 2 ** 20;
        return;
      case 'kill':
      case 'start':
        this.#note(`${event.do} ${event.what} on ${event.host}`);
        this.#daemon(event.do, event.what, event.host);
        return;
      case 'kill-controller':
        this.#note('kill the controller');
        this.#actors.killController();
        return;
      case 'start-controller':
        this.#note('start the controller');
        this.#actors.startController();
        return;
      case 'kill-destination-qemu':
      case 'kill-source-qemu':
        this.#killQemu(event.do === 'kill-source-qemu' ? 'source' : 'destination', event.vm);
        return;
      case 'cut':
      case 'heal':
        this.#note(`${event.do} ${event.between[0]} and ${event.between[1]}`);
        this.#world.network[event.do](...event.between);
        return;
      case 'isolate':
      case 'rejoin':
        this.#note(`${event.do} ${event.host}`);
        this.#allLinks(event.host, event.do === 'isolate' ? 'cut' : 'heal');
        return;
      case 'power':
        this.#note(`${event.host} is powered ${event.becomes}`);
        this.#allLinks(event.host, event.becomes === 'off' ? 'cut' : 'heal');
        this.#actors[event.becomes === 'off' ? 'powerOff' : 'powerOn'](event.host);
        return;
      case 'kill-qemu':
        this.#note(`kill the QEMU of ${event.vm}`);
        for (const { host, copy } of this.#world.copiesOf(this.#world.guest(event.vm).vmId)) {
          if (copy.state === 'running') this.#world.killCopy(host, copy, 'crashed');
        }
        return;
      case 'guard':
        this.#note(`the guard on ${event.host} is ${event.becomes}`);
        this.#world.host(event.host).filter.condition = event.becomes;
        return;
      case 'plain-text':
        this.#note(`migration traffic of ${event.host} tries to leave in plain text, ${event.packets} packets`);
        this.#world.host(event.host).filter.dropOut(event.packets);
        return;
      case 'migrate':
        this.#migrate(event);
        return;
      case 'pause':
      case 'go-on':
      case 'pause-controller':
      case 'go-on-controller':
      case 'pause-qemu':
      case 'go-on-qemu':
      case 'cut-one-way':
      case 'heal-one-way':
      case 'link':
      case 'disk':
      case 'clock':
      case 'drift':
      case 'lie':
        this.#faults.apply(event);
        return;
      case 'abort':
        this.#command(`abort the migration of ${event.vm}`, async (controller) => {
          const { migrationId } = await controller.vm(event.vm);
          if (migrationId !== null) await controller.abortMigration(migrationId, defaultOperator);
        });
        return;
      case 'revoke':
        this.#command(`${event.by ?? defaultOperator}: revoke ${event.host}`, (controller) =>
          controller.revokeHost(event.host, 'as the scenario says', event.by ?? defaultOperator),
        );
        return;
      case 'renew':
        this.#command(`${event.by ?? defaultOperator}: renew all certificates`, (controller) =>
          controller.renewCertificates(null, event.by ?? defaultOperator),
        );
        return;
      case 'join':
        this.#command(`${event.host} joins with a new token`, () => this.#actors.rejoin(event.host));
        return;
      case 'cordon':
      case 'uncordon':
      case 'drain':
      case 'drain-cancel':
      case 'restore':
      case 'maintain':
      case 'ready':
      case 'maintenance-cancel':
      case 'rule-add':
      case 'rule-remove': {
        const by = event.by ?? defaultOperator;
        const [words, act] = placementCommand(event, by, this.#placement);
        this.#command(`${by}: ${words}`, act);
        return;
      }
      case 'mode':
        this.#command(`mode ${event.mode}`, (controller) => controller.setMode(event.mode, defaultOperator));
        return;
      case 'approve':
      case 'reject':
      case 'rollback': {
        const [words, act] = this.#plans.command(event, event.by ?? defaultOperator);
        this.#command(words, act);
        return;
      }
      default:
        event satisfies never;
    }
  }

  #migrate({ vm, to, wish, by = defaultOperator }: Extract<ScenarioEvent, { do: 'migrate' }>): void {
    const target = to === undefined ? {} : { toHostId: to };
    const wished = wish === undefined ? {} : { wish };
    const words = `${to === undefined ? '' : ` to ${to}`}${wish === undefined ? '' : ` by ${wish.method}`}`;
    this.#command(`${by}: migrate ${vm}${words}`, (controller) => controller.migrate({ vm, ...target, ...wished }, by));
  }

  #daemon(what: 'kill' | 'start', daemon: 'agent' | 'libvirtd' | 'charon', hostId: string): void {
    if (daemon !== 'agent') this.#world.host(hostId)[daemon][what]();
    else if (what === 'kill') this.#actors.killAgent(hostId);
    else this.#actors.startAgent(hostId);
  }

  #killQemu(end: 'source' | 'destination', vm: string): void {
    const { vmId } = this.#world.guest(vm);
    const job = this.#world.jobOf(vmId) ?? this.#world.brokenJobOf(vmId);
    const does = end === 'source' ? 'sends' : 'receives';
    this.#note(job ? `kill the QEMU that ${does} ${vm} on ${job[end].hostId}` : `nothing ${does} ${vm}, nothing to kill`);
    const death = end === 'source' ? job?.killSource() : job?.killDestination();
    if (death === 'fatal') this.#world.casualties.add(vmId);
  }

  #allLinks(hostId: string, what: 'cut' | 'heal'): void {
    const others = this.#world.hosts.map((host) => host.hostId).filter((other) => other !== hostId);
    for (const node of [...others, controllerNode]) this.#world.network[what](hostId, node);
  }

  #changeGuest(name: string, act: () => void): void {
    const { vmId } = this.#world.guest(name);
    for (const { host } of this.#world.copiesOf(vmId)) host.accrue();
    act();
  }

  /** An operator's command; its refusal is part of the story. */
  #command(what: string, act: (controller: Controller) => Promise<unknown>): void {
    this.#log.note('operator', what);
    const { controller } = this.#actors;
    if (controller === null) {
      this.#log.note('operator', 'the controller does not answer');
      return;
    }
    act(controller).catch((error: unknown) => {
      const { code, message } = refusalOf(error);
      this.#log.note('operator', `refused (${code}): ${message}`);
    });
  }

  #note(sentence: string): void {
    this.#log.note('event', sentence);
  }
}
