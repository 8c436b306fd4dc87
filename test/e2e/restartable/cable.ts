/** The cable of a host, at the switch: the host itself sees no more than that its ports have lost their carrier. */
import type { Lab } from '#lab/api.ts';

/** Pulls both of its cables: no controller, no storage, no other host, no client of its guests. */
export function unplug(lab: Lab, host: string): Promise<void> {
  return setPorts(lab, host, 'down');
}

export function plug(lab: Lab, host: string): Promise<void> {
  return setPorts(lab, host, 'up');
}

async function setPorts(lab: Lab, host: string, state: 'up' | 'down'): Promise<void> {
  for (const port of [`u-${host}`, `g-${host}`]) {
    const { code, stderr } = await lab.switch.exec(['ip', 'link', 'set', port, state], { timeoutMs: 10_000 });
    if (code !== 0) throw new Error(`${port} of the switch: ${stderr.trim()}`);
  }
}
