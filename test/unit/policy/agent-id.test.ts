import { createHash } from 'node:crypto';
import t from 'tap';
import { agentId } from '#src/policy/agent-id.ts';

t.test('is the first four bytes of SHA-256, big-endian', (t) => {
  const hex = createHash('sha256').update('billing').digest('hex').slice(0, 8);
  t.equal(agentId('billing'), Number.parseInt(hex, 16));
  t.equal(agentId('billing'), agentId('billing'));
  t.not(agentId('billing'), agentId('Billing'));
  t.end();
});

t.test('is a non-zero 32-bit number', (t) => {
  for (let i = 0; i < 5000; i += 1) {
    const id = agentId(`agent-${i}`);
    if (!Number.isInteger(id) || id <= 0 || id > 0xffffffff) t.fail(`agent-${i} has the id ${id}`);
  }
  t.pass('5000 names');
  t.end();
});
