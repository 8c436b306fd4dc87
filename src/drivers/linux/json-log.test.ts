import { expect, it } from 'vitest';
import { refusalOf } from '#core/model/result.ts';
import { JsonLog } from './json-log.ts';

it('writes one object a line, in which the sentence of a refusal does not hide what happened', () => {
  const lines: string[] = [];
  const log = new JsonLog('agent', { hostId: 'host1' }, { write: (line) => void lines.push(line) });
  log.warn('a sample was lost', { vmId: 'v', ...refusalOf(new Error('the socket is closed')) });
  log.info('up');
  const [warned = '', informed = ''] = lines;
  expect(warned.match(/"message":/gu)).toHaveLength(1);
  expect(JSON.parse(warned)).toMatchObject({
    level: 'warn',
    program: 'agent',
    hostId: 'host1',
    vmId: 'v',
    message: 'a sample was lost',
    reason: 'the socket is closed',
  });
  expect(JSON.parse(informed)).not.toHaveProperty('reason');
});
