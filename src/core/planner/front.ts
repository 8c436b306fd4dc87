import type { ClusterHost } from './cluster.ts';

/**
 * The targets worth judging: those that no other of the same capacity beats in CPU, memory in use and promised
 * memory at once. Whatever VM is placed, a beaten target fits no better and leaves no better score, because
 * each term of the score grows with the load that a VM meets. In a large cluster a few dozen of a thousand
 * remain. Among equals the first one stays, which is the one with the smallest id.
 */
export function undominated(targets: readonly ClusterHost[]): readonly ClusterHost[] {
  let front: ClusterHost[] = [];
  for (const target of targets) {
    if (front.some((other) => beats(other, target))) continue;
    front = front.filter((other) => !beats(target, other));
    front.push(target);
  }
  return front;
}

function beats(a: ClusterHost, b: ClusterHost): boolean {
  return (
    a.cpuUsedCores <= b.cpuUsedCores &&
    a.memoryUsedBytes <= b.memoryUsedBytes &&
    a.memoryPromisedBytes <= b.memoryPromisedBytes &&
    a.capacity.cpuCores === b.capacity.cpuCores &&
    a.capacity.memoryBytes === b.capacity.memoryBytes
  );
}
