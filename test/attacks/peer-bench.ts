import { expect } from 'vitest';
import { defaultProfile } from '#core/model/policy.ts';
import type { HostIdentity } from '#core/ports.ts';
import { addressesOf, identityOf } from './identities.ts';
import { type Offer, RogueCharon } from './rogue-charon.ts';
import { limits, type Site } from './site.ts';

export interface Refusal {
  /** What the victim's charon must have said. */
  readonly because: RegExp;
  /** For the table. */
  readonly refusedBy: string;
}

/** host3 in the hands of an attacker, and a view of the victim that does not go through its agent. */
export class PeerBench {
  readonly rogue: RogueCharon;
  readonly victim: RogueCharon;
  readonly victimId: string;
  /** What host3 had when the attack began. */
  readonly own: HostIdentity;
  readonly #site: Site;

  private constructor(site: Site, victimId: string, own: HostIdentity) {
    this.#site = site;
    this.victimId = victimId;
    this.own = own;
    this.rogue = new RogueCharon(site.host('host3').viciSocket);
    this.victim = new RogueCharon(site.host(victimId).viciSocket);
  }

  static async start(site: Site, victimId: string): Promise<PeerBench> {
    return new PeerBench(site, victimId, await identityOf(site.host('host3')));
  }

  close(): void {
    this.rogue.close();
    this.victim.close();
  }

  /** The victim's own agent has a channel to host3 prepared, and none is up. */
  async prepareVictim(): Promise<void> {
    await this.#site.keepChannel('host3', this.victimId);
    await this.rogue.forget(this.victimId);
    await this.#noneLeft();
  }

  /** What host3 would rightly offer, with changes. */
  offer(changes: Partial<Offer> = {}): Offer {
    const [thief, victim] = [this.#site.host('host3'), this.#site.host(this.victimId)];
    const ends = { local: addressesOf(thief), peerHostId: this.victimId, peer: addressesOf(victim) };
    return { ...ends, identity: this.own, profile: defaultProfile, ...changes };
  }

  /** The offer must be refused, for this reason, and leave the victim's channels as they were. Resolves with the time it took. */
  async refused(offer: Offer, { because }: Refusal): Promise<number> {
    const before = await this.victim.installed();
    const logged = (await this.#site.charonLog(this.victimId)).length;
    const { up, tookMs, said } = await this.rogue.initiate(offer);
    const log = await this.#site.charonLog(this.victimId, logged);
    expect(up, said).toBe(false);
    expect(log).toMatch(because);
    expect(await this.victim.installed()).toEqual(before);
    expect(tookMs).toBeLessThan(limits.refusalMs);
    return tookMs;
  }

  /** The offer must come up, and is gone again afterwards. */
  async accepted(offer: Offer): Promise<void> {
    const { up, said } = await this.rogue.initiate(offer);
    expect(up, said).toBe(true);
    await this.#noneLeft();
  }

  /** A row of the table: refused as it is, accepted when put right. */
  async attack(name: string, wrong: Offer, refusal: Refusal, right: Offer, controlArm: string): Promise<void> {
    const refusedAfterMs = await this.refused(wrong, refusal);
    await this.accepted(right);
    this.#site.results.add({ attack: name, refusedBy: refusal.refusedBy, refusedAfterMs, controlArm: `comes up with ${controlArm}` });
  }

  async #noneLeft(): Promise<void> {
    const none = async () => (await this.victim.installed('host3')) === 0;
    await this.#site.until(`no channel of host3 on ${this.victimId}`, performance.now(), none);
  }
}
