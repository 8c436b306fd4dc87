interface Named {
  readonly name: string;
}

/** The hosts on which each guest runs, by the word of the hosts' daemons; a host that does not answer has none. */
export async function placementOf(
  hosts: readonly (Named & { runningGuests(): Promise<string[]> })[],
  guests: readonly Named[],
): Promise<Record<string, string[]>> {
  const lists = await Promise.all(
    hosts.map(async (host) => ({ host: host.name, guests: await host.runningGuests().catch((): string[] => []) })),
  );
  const hostsOf = (guest: string): string[] => lists.filter((list) => list.guests.includes(guest)).map(({ host }) => host);
  return Object.fromEntries(guests.map(({ name }) => [name, hostsOf(name)]));
}
