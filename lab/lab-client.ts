import { callClient } from './client/connection.ts';
import type { GuestBeats } from './client/protocol.ts';
import { clientSocket } from './layout.ts';
import type { Layout } from './layout.ts';

/** The client outside the lab, which hears the guests. */
export class LabClient {
  readonly socketPath: string;

  constructor(lab: Layout) {
    this.socketPath = clientSocket(lab);
  }

  beats(): Promise<readonly GuestBeats[]> {
    return callClient(this.socketPath, 'beats', {});
  }

  /** Starts the counters and the largest gap anew, for one guest or all. */
  async reset(guest?: string): Promise<void> {
    await callClient(this.socketPath, 'reset', guest === undefined ? {} : { guest });
  }
}
