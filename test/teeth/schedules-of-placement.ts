/** Stories about where VMs may run, on which the planted bugs of that are played. */
import { mail, ordinaryHost, type Stories, story, threeHosts, web } from './story.ts';

const pinned = { kind: 'pin', name: 'home', vms: ['web'], hosts: ['host1', 'host3'] };
const smallHost = { cpuCores: 4, memoryGiB: 3 };
const balanced = { mode: 'automatic', planIntervalSeconds: 10, policy: { sustainedRounds: 1, minimumGainPercent: 1 } };
const threeVms = { web, shop: { ...web, demandCores: 0.4 }, mail };
/** When everybody has to know where each VM is, two of them want more than the line of their host leaves them. */
const rush = [
  { at: 90, do: 'demand', vm: 'web', cores: 2 },
  { at: 90, do: 'demand', vm: 'shop', cores: 1.8 },
];

export const schedulesOfPlacement: Stories = {
  'sent-against-a-pin': story([{ at: 20, do: 'migrate', vm: 'web', to: 'host2', by: 'anna' }], { rules: [pinned] }),
  'sent-to-a-cordoned-host': story([
    { at: 15, do: 'cordon', host: 'host2', reason: 'new disk', by: 'ben' },
    { at: 20, do: 'migrate', vm: 'web', to: 'host2', by: 'anna' },
  ]),
  'only-a-cordoned-host-has-room': story(rush, {
    ...balanced,
    cordoned: ['host2'],
    hosts: { host1: ordinaryHost, host2: ordinaryHost },
    vms: threeVms,
  }),
  'only-a-twin-has-room-beside-it': story(rush, {
    ...balanced,
    rules: [
      { kind: 'anti-affinity', name: 'web-apart', vms: ['web', 'mail'] },
      { kind: 'anti-affinity', name: 'shop-apart', vms: ['shop', 'ma*'] },
    ],
    hosts: { host1: ordinaryHost, host2: ordinaryHost },
    vms: threeVms,
  }),
  'a-group-on-a-busy-host': story(rush, {
    ...balanced,
    rules: [{ kind: 'affinity', name: 'together', vms: ['web', 'shop'] }],
    hosts: { host1: ordinaryHost, host2: ordinaryHost },
    vms: threeVms,
  }),
  'all-of-a-busy-host-is-ignored': story(rush, {
    ...balanced,
    rules: [{ kind: 'ignore', name: 'pets', vms: ['web', 's*'] }],
    vms: threeVms,
  }),
  /** Long after the cool-down of the VM that has left, and well within the time in which it is not sent back. */
  'load-swings-back-soon': story(
    [
      ...rush,
      { at: 200, do: 'demand', vm: 'web', cores: 0.2 },
      { at: 200, do: 'demand', vm: 'shop', cores: 1.8 },
      { at: 200, do: 'demand', vm: 'mail', cores: 2 },
    ],
    {
      ...balanced,
      policy: { ...balanced.policy, strategy: 'lines', coolDownMs: 30_000, coolDownMsMax: 30_000, returnMsMin: 3_600_000 },
      hosts: { host1: { cpuCores: 4, memoryGiB: 6 }, host2: ordinaryHost },
      vms: { ...threeVms, mail: { ...mail, memoryGiB: 5 } },
    },
  ),
  /** A VM may not leave the host that is emptied; the controller dies, and the next one does not hear of that host for a while. */
  'drain-over-a-restart-out-of-reach': story(
    [
      { at: 20, do: 'drain', host: 'host1', by: 'anna' },
      { at: 40, do: 'kill-controller' },
      { at: 40, do: 'cut', between: ['host1', 'controller'] },
      { at: 50, do: 'start-controller' },
      { at: 90, do: 'heal', between: ['host1', 'controller'] },
    ],
    { rules: [{ ...pinned, hosts: ['host1'] }] },
  ),
  /** A VM is on its way to a host without VMs when somebody asks for that host to be emptied. */
  'drain-of-a-destination': story(
    [
      { at: 20, do: 'migrate', vm: 'web', to: 'host3', by: 'anna' },
      { at: { vm: 'web', reaches: 'transfer', plusSeconds: 1 }, do: 'drain', host: 'host3', by: 'ben' },
    ],
    { hosts: { ...threeHosts, host4: smallHost } },
  ),
};
