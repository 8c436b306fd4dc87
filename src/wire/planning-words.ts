/** How moves are chosen, and who begins: the words of the policy, for command lines. */
export { type Direction, directions, type Strategy, strategies } from '#core/model/policy.ts';
