/**
 * The model of a cluster: demands of VMs, hosts that share their cores when they are asked for more than they have, and migrations
 * that take time, memory on both hosts and CPU on both. Event-driven, so a migration ends to the moment; deterministic.
 */
import type { EndedStep, MigrationLimits, Step, StepUnderWay, View } from './balancer.ts';
import { migrationBytes, migrationSeconds } from './physics.ts';
import type { Physics } from './physics.ts';
import { Tally } from './tally.ts';
import { readingAt } from './trace.ts';
import type { Workload, WorkloadHost, WorkloadVm } from './workload.ts';

interface HostState extends WorkloadHost {
  readonly vms: Set<VmState>;
  memoryTakenBytes: number;
  /** CPU of migrations that it takes part in. */
  migrationCores: number;
  migrations: number;
  usedCoreSeconds: number;
}

interface VmState extends WorkloadVm {
  host: HostState;
  demandCores: number;
  usedCoreSeconds: number;
  delayCoreSeconds: number;
  isMoving: boolean;
}

interface Running {
  readonly step: Step;
  readonly vm: VmState;
  readonly destination: HostState;
  readonly startedAtSeconds: number;
  readonly endsAtSeconds: number;
}

/** All phases are multiples of it, and so is the time between two readings. */
const demandStepSeconds = 60;

export class Cluster {
  readonly tally = new Tally();
  readonly #physics: Physics;
  readonly #limits: MigrationLimits;
  readonly #hosts: ReadonlyMap<string, HostState>;
  readonly #vms: ReadonlyMap<string, VmState>;
  #waiting: readonly Step[] = [];
  #running: readonly Running[] = [];
  #ended: EndedStep[] = [];
  #atSeconds = 0;
  #viewedAtSeconds = 0;
  #nextDemandAtSeconds = 0;

  constructor(workload: Workload, physics: Physics, limits: MigrationLimits) {
    this.#physics = physics;
    this.#limits = limits;
    const nothing = { memoryTakenBytes: 0, migrationCores: 0, migrations: 0, usedCoreSeconds: 0 };
    this.#hosts = new Map(workload.hosts.map((host) => [host.hostId, { ...host, ...nothing, vms: new Set() }]));
    this.#vms = new Map(workload.vms.map((vm) => [vm.vmId, this.#settle(vm)]));
  }

  #settle(vm: WorkloadVm): VmState {
    const host = this.#hosts.get(vm.hostId);
    if (host === undefined || host.memoryTakenBytes + vm.memoryBytes > host.memoryBytes)
      throw new RangeError(`${vm.hostId} has no room for ${vm.vmId}`);
    const state = { ...vm, host, demandCores: 0, usedCoreSeconds: 0, delayCoreSeconds: 0, isMoving: false };
    host.vms.add(state);
    host.memoryTakenBytes += vm.memoryBytes;
    return state;
  }

  /** Takes steps in; they start at once or as soon as the limits allow. */
  request(steps: readonly Step[]): void {
    this.#waiting = [...this.#waiting, ...steps];
    this.#startWaiting();
  }

  advance(seconds: number): void {
    const untilSeconds = this.#atSeconds + seconds;
    while (this.#atSeconds < untilSeconds) {
      if (this.#atSeconds >= this.#nextDemandAtSeconds) this.#readDemands();
      const ends = this.#running.map(({ endsAtSeconds }) => endsAtSeconds);
      const nextSeconds = Math.min(untilSeconds, this.#nextDemandAtSeconds, ...ends);
      this.#pass(nextSeconds - this.#atSeconds);
      this.#atSeconds = nextSeconds;
      this.#finish();
    }
  }

  /** The means since the last view. */
  view(): View {
    const seconds = this.#atSeconds - this.#viewedAtSeconds;
    const mean = (coreSeconds: number) => (seconds > 0 ? coreSeconds / seconds : 0);
    const hosts = [...this.#hosts.values()].map((host) => ({
      hostId: host.hostId,
      cpuCores: host.cpuCores,
      memoryBytes: host.memoryBytes,
      cpuUsedCores: mean(host.usedCoreSeconds),
      memoryUsedBytes: host.memoryTakenBytes,
      vms: [...host.vms].map(({ vmId, vcpus, memoryBytes, usedCoreSeconds, delayCoreSeconds }) => ({
        vmId,
        vcpus,
        memoryBytes,
        cpuUsedCores: mean(usedCoreSeconds),
        cpuDelayCores: mean(delayCoreSeconds),
      })),
    }));
    const ended = this.#ended;
    this.#ended = [];
    this.#viewedAtSeconds = this.#atSeconds;
    for (const host of this.#hosts.values()) host.usedCoreSeconds = 0;
    for (const vm of this.#vms.values()) Object.assign(vm, { usedCoreSeconds: 0, delayCoreSeconds: 0 });
    return { atSeconds: this.#atSeconds, hosts, underWay: this.#underWay(), ended };
  }

  #underWay(): readonly StepUnderWay[] {
    const running = this.#running.map(({ step, startedAtSeconds }) => ({ ...step, startedAtSeconds }));
    return [...running, ...this.#waiting.map((step) => ({ ...step, startedAtSeconds: null }))];
  }

  #readDemands(): void {
    for (const vm of this.#vms.values()) vm.demandCores = (readingAt(vm.trace, this.#atSeconds + vm.phaseSeconds) / 100) * vm.vcpus;
    this.#nextDemandAtSeconds = (Math.floor(this.#atSeconds / demandStepSeconds) + 1) * demandStepSeconds;
  }

  #pass(seconds: number): void {
    for (const host of this.#hosts.values()) {
      let demandCores = host.migrationCores;
      for (const vm of host.vms) demandCores += vm.demandCores;
      const share = demandCores > host.cpuCores ? host.cpuCores / demandCores : 1;
      host.usedCoreSeconds += demandCores * share * seconds;
      let vmCores = 0;
      for (const vm of host.vms) {
        vmCores += vm.demandCores;
        vm.usedCoreSeconds += vm.demandCores * share * seconds;
        vm.delayCoreSeconds += vm.demandCores * (1 - share) * seconds;
      }
      this.tally.passed(seconds, vmCores, share);
    }
  }

  #finish(): void {
    const done = this.#running.filter(({ endsAtSeconds }) => endsAtSeconds <= this.#atSeconds);
    if (done.length === 0) return;
    this.#running = this.#running.filter((running) => !done.includes(running));
    for (const { step, vm, destination, startedAtSeconds } of done) {
      const source = vm.host;
      this.#takePart(source, -1, this.#physics.sourceCores);
      this.#takePart(destination, -1, this.#physics.destinationCores);
      source.vms.delete(vm);
      source.memoryTakenBytes -= vm.memoryBytes;
      destination.vms.add(vm);
      vm.host = destination;
      vm.isMoving = false;
      this.tally.moved(step, migrationBytes(vm.memoryBytes, this.#physics), this.#atSeconds);
      this.#ended.push({ ...step, startedAtSeconds, endedAtSeconds: this.#atSeconds, outcome: 'moved' });
    }
    this.#startWaiting();
  }

  #startWaiting(): void {
    const waiting: Step[] = [];
    for (const step of this.#waiting) {
      const hosts = [this.#hosts.get(step.fromHostId), this.#hosts.get(step.toHostId)];
      const isBusy = hosts.some((host) => (host?.migrations ?? 0) >= this.#limits.perHostMax);
      if (isBusy || this.#running.length >= this.#limits.perClusterMax) waiting.push(step);
      else this.#start(step);
    }
    this.#waiting = waiting;
  }

  #start(step: Step): void {
    const vm = this.#vms.get(step.vmId);
    const destination = this.#hosts.get(step.toHostId);
    const isPossible = vm !== undefined && destination !== undefined && !vm.isMoving && vm.host !== destination;
    // Memory is never overcommitted: the room is reserved before the first byte is sent.
    if (!isPossible || vm.host.hostId !== step.fromHostId || destination.memoryTakenBytes + vm.memoryBytes > destination.memoryBytes) {
      this.tally.refused();
      this.#ended.push({ ...step, startedAtSeconds: this.#atSeconds, endedAtSeconds: this.#atSeconds, outcome: 'refused' });
      return;
    }
    vm.isMoving = true;
    destination.memoryTakenBytes += vm.memoryBytes;
    this.#takePart(vm.host, 1, this.#physics.sourceCores);
    this.#takePart(destination, 1, this.#physics.destinationCores);
    const endsAtSeconds = this.#atSeconds + migrationSeconds(vm.memoryBytes, this.#physics);
    this.#running = [...this.#running, { step, vm, destination, startedAtSeconds: this.#atSeconds, endsAtSeconds }];
  }

  #takePart(host: HostState, sign: 1 | -1, cores: number): void {
    host.migrations += sign;
    host.migrationCores = host.migrations === 0 ? 0 : host.migrationCores + sign * cores;
  }
}
