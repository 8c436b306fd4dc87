/** What an operator wants of hosts and of where VMs run. */
import type { Controller } from '#controller/controller.ts';
import type { EventOf } from './scenario-events.ts';

export type PlacementEvent = EventOf<'cordon' | 'uncordon' | 'drain' | 'drain-cancel' | 'restore' | 'rule-add' | 'rule-remove'>;

/** The command in words, and what it asks of the controller. */
export function placementCommand(event: PlacementEvent, by: string): readonly [string, (controller: Controller) => Promise<unknown>] {
  switch (event.do) {
    case 'cordon':
      return [`cordon ${event.host}`, ({ placement }) => placement.cordon(event.host, event.reason ?? '', by)];
    case 'uncordon':
      return [`uncordon ${event.host}`, ({ placement }) => placement.uncordon(event.host, by)];
    case 'drain':
      return [`drain ${event.host}`, ({ placement }) => placement.startDrain(event.host, event.reason ?? '', by)];
    case 'drain-cancel':
      return [`cancel the drain of ${event.host}`, ({ placement }) => placement.cancelDrain(event.host, by)];
    case 'restore':
      return [`restore ${event.host}`, ({ placement }) => placement.restore(event.host, by)];
    case 'rule-add':
      return [`add rule ${event.rule.name}`, ({ placement }) => placement.addRule(event.rule, by)];
    case 'rule-remove':
      return [`remove rule ${event.name}`, ({ placement }) => placement.removeRule(event.name, by)];
    default:
      return event satisfies never;
  }
}
