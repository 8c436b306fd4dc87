import { describe, expect, it } from 'vitest';
import { emptyMemory } from '#core/access/ticket-gate.ts';
import type { AgentMemoryState } from '#core/ports.ts';
import { FakeMemory } from './fakes.ts';
import { Remembered } from './remembered.ts';

const plusOne = (state: AgentMemoryState) => ({ state: { ...state, controllerEpoch: state.controllerEpoch + 1 }, outcome: 'grown' });

describe("an agent's memory", () => {
  it('makes one change after the other, each on the newest state, however many come at once', async () => {
    const memory = new FakeMemory();
    const remembered = await Remembered.load(memory);
    await Promise.all(Array.from({ length: 20 }, () => remembered.update(plusOne)));
    expect(memory.saved.controllerEpoch).toBe(20);
  });

  it('does not count a change that is not on disk, and takes the next one', async () => {
    const memory = new FakeMemory();
    const remembered = await Remembered.load(memory);
    memory.fault = new Error('disk full');
    await expect(remembered.update(plusOne)).rejects.toThrow('disk full');
    expect(remembered.state).toEqual(emptyMemory);
    memory.fault = null;
    expect(await remembered.update(plusOne)).toBe('grown');
    expect(remembered.state.controllerEpoch).toBe(1);
  });

  it('is not there when the disk cannot be read: the agent does not start with forgotten epochs', async () => {
    const memory = new FakeMemory();
    memory.load = () => Promise.reject(new Error('damaged'));
    await expect(Remembered.load(memory)).rejects.toThrow('damaged');
  });
});
