/** Clusters for the comparison with hbal: identical hosts, a fifth of them with about four times as many VMs as the others. */
import type { HbalCluster, HbalInstance, HbalUse } from '#core/exchange/hbal-cluster.ts';
import { seededRandom } from '#core/seeded.ts';

export interface HotCluster {
  readonly cluster: HbalCluster;
  readonly uses: readonly HbalUse[];
}

const hostMemoryMib = 512 * 1024;
const hostOwnMib = 4096;
const hostCpus = 64;
const hotShare = 0.2;
const hotWeight = 4;
const memoryChoicesMib = [4096, 8192, 16_384, 32_768];
const vcpuChoices = [2, 4, 8, 16];
/** Of a host, per VM: exponential, as a few VMs do most of the work. */
const meanCpu = 0.038;
const cpuMax = 0.24;
const otherUseMax = 0.02;
const policyRest = {
  standard: [128, 1, 1024, 1, 1, 1],
  bounds: [
    [128, 1, 128, 1, 0, 1],
    [1_048_576, 128, 16_777_216, 16, 8, 12],
  ],
  templates: ['diskless', 'file', 'sharedfile', 'plain', 'blockdev', 'drbd', 'rbd', 'ext'],
  vcpuRatio: 16,
  spindleRatio: 1000,
} as const;

/** The same size and seed give the same cluster. No host has more memory promised than it has. */
export function hotCluster(hosts: number, vmsPerHost: number, seed: number): HotCluster {
  const random = seededRandom(`hot-${hosts}x${vmsPerHost}-s${seed}`);
  const any = <Value>(values: readonly Value[]) => values[Math.floor(random.fraction() * values.length)] as Value;
  const names = Array.from({ length: hosts }, (_, index) => `h${String(index).padStart(5, '0')}`);
  const hot = Math.round(hosts * hotShare);
  const freeMib = names.map(() => hostMemoryMib - hostOwnMib);
  // A host is drawn as a number on a line on which hot hosts are longer.
  const line = hot * hotWeight + (hosts - hot);
  const drawn = () => {
    const at = random.fraction() * line;
    return Math.floor(at < hot * hotWeight ? at / hotWeight : hot + (at - hot * hotWeight));
  };
  const instances: HbalInstance[] = [];
  const uses: HbalUse[] = [];
  for (let index = 0; index < hosts * vmsPerHost; index += 1) {
    const memoryMib = any(memoryChoicesMib);
    let host = drawn();
    while ((freeMib[host] ?? 0) < memoryMib) host = Math.floor(random.fraction() * hosts);
    freeMib[host] = (freeMib[host] ?? 0) - memoryMib;
    const name = `v${String(index).padStart(6, '0')}`;
    instances.push({ ...instanceRest, name, memoryMib, vcpus: any(vcpuChoices), primary: names[host] ?? '' });
    const cpu = Math.min(cpuMax, -meanCpu * Math.log(1 - random.fraction()));
    uses.push({
      name,
      cpu: rounded(cpu),
      memory: rounded(memoryMib / hostMemoryMib),
      disk: rounded(random.fraction() * otherUseMax),
      network: rounded(random.fraction() * otherUseMax),
    });
  }
  const nodes = names.map((name, index) => ({
    ...nodeRest,
    name,
    freeMemoryMib: freeMib[index] ?? 0,
    role: index === 0 ? ('M' as const) : ('N' as const),
  }));
  const policies = ['', 'g'].map((owner) => ({ owner, ...policyRest }));
  return {
    cluster: {
      groups: [{ name: 'g', uuid: 'u-1', allocation: 'preferred', tags: [], networks: [] }],
      nodes,
      instances,
      tags: [],
      policies,
    },
    uses,
  };
}

const nodeRest = {
  memoryMib: hostMemoryMib,
  ownMemoryMib: hostOwnMib,
  diskMib: 4_194_304,
  freeDiskMib: 4_194_304,
  cpus: hostCpus,
  groupUuid: 'u-1',
  spindles: 1,
  tags: [],
  exclusiveStorage: false,
  freeSpindles: 0,
  ownCpus: 1,
  cpuSpeed: 1,
} as const;

const instanceRest = {
  diskMib: 20_480,
  status: 'running',
  autoBalance: true,
  secondary: null,
  template: 'ext',
  tags: [],
  spindleUse: 1,
  spindles: '-',
  forthcoming: false,
} as const;

/** As the utilisation file has it. */
function rounded(fraction: number): number {
  return Number(fraction.toFixed(6));
}
