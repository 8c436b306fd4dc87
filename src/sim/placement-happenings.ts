/** What an operator wants of hosts and of where VMs run, and what they can rely on once it is answered. */
import type { Controller } from '#controller/controller.ts';
import type { PlacementWatch } from './placement-watch.ts';
import type { EventOf } from './scenario-events.ts';

type DrainEvents = 'drain' | 'drain-cancel' | 'restore' | 'maintain' | 'ready' | 'maintenance-cancel';
export type PlacementEvent = EventOf<'cordon' | 'uncordon' | DrainEvents | 'rule-add' | 'rule-remove'>;

type Command = (controller: Controller) => Promise<unknown>;

/** The command in words, and what it asks of the controller. `watch` learns what stands from the answers, as the operator does. */
export function placementCommand(event: PlacementEvent, by: string, watch: PlacementWatch): readonly [string, Command] {
  switch (event.do) {
    case 'cordon':
      return [
        `cordon ${event.host}`,
        ({ placement }) => placement.cordon(event.host, event.reason ?? '', by).then(() => watch.cordonStands(event.host)),
      ];
    case 'uncordon':
      return [
        `uncordon ${event.host}`,
        ({ placement }) => {
          watch.cordonMayGo(event.host);
          return placement.uncordon(event.host, by);
        },
      ];
    case 'drain':
      return [
        `drain ${event.host}`,
        ({ placement }) => placement.startDrain(event.host, event.reason ?? '', by).then(() => watch.cordonStands(event.host)),
      ];
    case 'drain-cancel':
      return [`cancel the drain of ${event.host}`, ({ placement }) => placement.cancelDrain(event.host, by)];
    case 'restore':
      return [
        `restore ${event.host}`,
        ({ placement }) => {
          watch.cordonMayGo(event.host);
          return placement.restore(event.host, by);
        },
      ];
    case 'maintain':
      return [
        `take ${event.hosts.join(', ')} through maintenance`,
        ({ placement }) => {
          // It opens each of them in its turn.
          for (const host of event.hosts) watch.cordonMayGo(host);
          const { hosts, parallel = 1, until = 'ready', reason = '' } = event;
          return placement.startMaintenance({ hostIds: [...hosts], parallel, until, reason }, by);
        },
      ];
    case 'ready':
      return [`${event.host} is ready`, ({ placement }) => placement.readyHost(event.host, by)];
    case 'maintenance-cancel':
      return ['cancel the maintenance', ({ placement }) => placement.cancelMaintenance(by)];
    case 'rule-add':
      return [
        `add rule ${event.rule.name}`,
        ({ placement }) => {
          watch.ruleIsAsked(event.rule);
          return placement.addRule(event.rule, by).then(() => watch.ruleStands(event.rule));
        },
      ];
    case 'rule-remove':
      return [
        `remove rule ${event.name}`,
        ({ placement }) => {
          watch.ruleMayGo(event.name);
          return placement.removeRule(event.name, by);
        },
      ];
    default:
      return event satisfies never;
  }
}
