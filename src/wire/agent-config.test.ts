import { describe, expect, it } from 'vitest';
import { AgentConfigSchema, agentConfigOf } from './agent-config.ts';
import { parse } from './validate.ts';

const least = {
  hostId: 'host1',
  controller: 'https://10.0.0.10:7443',
  addresses: { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' },
};
const ssh = { user: 'plimsoll', keyFile: '/etc/plimsoll/ssh/id', knownHostsFile: '/etc/plimsoll/ssh/known_hosts' };
const config = (more: object) => agentConfigOf(parse(AgentConfigSchema, { ...least, ...more }, 'agent.yaml'));

describe("the agent's configuration of weaker channels", () => {
  it('is none of ssh, and one of images below its state, unless it says otherwise', () => {
    expect(config({ stateDir: '/srv/plimsoll' })).toMatchObject({
      ssh: null,
      images: { port: 49_220, folder: '/srv/plimsoll/incoming-images', bytesMax: 2 ** 40 },
    });
    expect(config({ ssh, images: { port: 50_000 } })).toMatchObject({
      ssh: { ...ssh, port: 22, dataPorts: { first: 49_224, last: 49_239 } },
      images: { port: 50_000 },
    });
  });

  it.each([
    ['a range that ends before it begins', { ssh: { ...ssh, dataPorts: { first: 50_001, last: 50_000 } } }],
    ["a range over libvirt's own", { ssh: { ...ssh, dataPorts: { first: 49_000, last: 49_152 } } }],
    ["a port of libvirt's own", { images: { port: 49_215 } }],
  ])('is refused with %s', (_story, more) => {
    expect(() => config(more)).toThrow(expect.objectContaining({ code: 'config-invalid' }));
  });

  it.each([
    ['a user that is an option', { ssh: { ...ssh, user: '-oProxyCommand=x' } }],
    ['a key with a relative path', { ssh: { ...ssh, keyFile: 'id' } }],
    ['a port that is none', { images: { port: 0 } }],
    ['a key that nobody knows', { images: { password: 'x' } }],
  ])('is refused as malformed with %s', (_story, more) => {
    expect(() => config(more)).toThrow(expect.objectContaining({ code: 'message-invalid' }));
  });
});
