/** For the tests of mistakes that other balancers make: each is asked under all strategies and directions. */
import { type Direction, strategies, type Strategy } from '#core/model/policy.ts';
import type { ExampleHost } from './examples.ts';

export const hot: ExampleHost = { id: 'hot', vms: ['a', 'b', 'c'].map((id) => ({ id, cores: 2.5, gib: 4 })) };
export const idle = (id: string): ExampleHost => ({ id, vms: [] });

export const ways: readonly (readonly [Strategy, Direction])[] = [
  ...strategies.map((strategy) => [strategy, 'push'] as const),
  ...strategies.filter((strategy) => strategy !== 'pack').flatMap((strategy) => [[strategy, 'pull'] as const, [strategy, 'both'] as const]),
];
