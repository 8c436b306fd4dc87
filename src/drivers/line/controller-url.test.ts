import { describe, expect, it } from 'vitest';
import { controllerAddress, hostAndPort } from './controller-url.ts';

describe("the controller's address", () => {
  it.each([
    ['https://192.0.2.1:7443', { host: '192.0.2.1', port: 7443, serverName: '' }, '192.0.2.1:7443'],
    ['wss://[2001:db8::1]:7443/v1/agent', { host: '2001:db8::1', port: 7443, serverName: '' }, '[2001:db8::1]:7443'],
    ['https://ctl.example.org/', { host: 'ctl.example.org', port: 443, serverName: 'ctl.example.org' }, 'ctl.example.org:443'],
  ])('reads %s', (url, address, text) => {
    expect(controllerAddress(url)).toEqual(address);
    expect(hostAndPort(controllerAddress(url))).toBe(text);
  });

  it.each([
    '',
    'rubbish',
    'http://192.0.2.1',
    'https://user:secret@192.0.2.1',
    'https://192.0.2.1/v1/join',
    'https://192.0.2.1/?a=b',
    'https://192.0.2.1:99999',
  ])('refuses %j', (url) => {
    expect(() => controllerAddress(url)).toThrow(expect.objectContaining({ code: 'config-invalid' }) as Error);
  });
});
