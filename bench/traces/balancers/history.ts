/** The newest figures of hosts and VMs, for rules that look at the mean of some time. */
export class History {
  readonly #pointsMax: number;
  readonly #points = new Map<string, number[]>();

  constructor(pointsMax: number) {
    this.#pointsMax = pointsMax;
  }

  add(id: string, value: number): void {
    const points = this.#points.get(id) ?? [];
    points.push(value);
    if (points.length > this.#pointsMax) points.shift();
    this.#points.set(id, points);
  }

  /** 0 while nothing is known. */
  mean(id: string): number {
    const points = this.#points.get(id) ?? [];
    return points.length > 0 ? points.reduce((sum, value) => sum + value, 0) / points.length : 0;
  }
}
