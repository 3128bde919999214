import { readlinkSync } from 'node:fs';
import t from 'tap';
import { homeNamespace, namespaceOf, namespaceText } from '#src/kernel/namespace.ts';

t.test('this process is in its own network namespace', async (t) => {
  const home = homeNamespace();
  t.ok(home.cookie > 0n);
  t.equal(namespaceOf(process.pid), home.inode);
  t.equal(namespaceText(home.inode), readlinkSync('/proc/self/ns/net'));
});

t.test('a kernel without cookies is refused by that name, and no other failure is', async (t) => {
  const failing = (code: string) => () => {
    throw Object.assign(new Error(code), { code });
  };
  t.throws(() => homeNamespace(failing('ENOPROTOOPT')), {
    code: 'NOT_SUPPORTED',
    message: /lacks what the programs need: cookies of network namespaces/,
  });
  t.throws(() => homeNamespace(failing('EMFILE')), { code: 'EMFILE' });
});

t.test('a process that is gone is in none', async (t) => {
  // Above the highest pid there can be (PID_MAX_LIMIT of linux/threads.h).
  t.equal(namespaceOf(2 ** 22 + 1), null);
});
