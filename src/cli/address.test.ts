import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { controllerSocket, type SocketPlaces } from './address.ts';
import { codeOf } from './errors.ts';

let folder = '';
let places: SocketPlaces;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-address-'));
  places = { installed: join(folder, 'controller.sock'), labsDir: join(folder, 'lab') };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function labUp(name: string, withSocket = true): string {
  const path = join(places.labsDir, name, 'controller.sock');
  mkdirSync(join(places.labsDir, name), { recursive: true });
  if (withSocket) writeFileSync(path, '');
  return path;
}

function refusalOf(given?: string): { readonly code: string; readonly message: string } {
  try {
    controllerSocket(given, places);
  } catch (error) {
    return { code: codeOf(error), message: String(error) };
  }
  throw new Error('an address was found');
}

test('an address that is given wins', () => {
  labUp('one');
  expect(controllerSocket('unix:/run/x.sock', places)).toBe('/run/x.sock');
});

test('the installed controller comes before labs', () => {
  labUp('one');
  writeFileSync(places.installed, '');
  expect(controllerSocket(undefined, places)).toBe(places.installed);
});

test('the only lab that is up is taken', () => {
  labUp('down', false);
  const path = labUp('one');
  expect(controllerSocket(undefined, places)).toBe(path);
});

test('among several labs the operator has to choose', () => {
  const paths = [labUp('one'), labUp('two')];
  const refusal = refusalOf();
  expect(refusal.code).toBe('controller-ambiguous');
  for (const path of paths) expect(refusal.message).toContain(`unix:${path}`);
});

test('without any controller it says how to get one', () => {
  expect(refusalOf()).toMatchObject({ code: 'controller-unreachable', message: expect.stringContaining('plimsoll lab up') });
});

test.each(['', '/run/x.sock', 'unix:', 'unix:relative', 'https://host'])('%j is no address', (given) => {
  expect(refusalOf(given).code).toBe('usage');
});
