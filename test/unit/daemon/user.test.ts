import t from 'tap';
import { findUser } from '#src/daemon/user.ts';

const passwd = 'root:x:0:0::/root:/bin/sh\nsluice:x:998:997::/:/usr/sbin/nologin\nwheel:x:5:0::/:/bin/sh\n';

t.test('finds uid and gid', async (t) => {
  t.same(findUser('sluice', passwd), { uid: 998, gid: 997 });
});

t.test('names the mend when there is no such user', async (t) => {
  t.throws(() => findUser('nobody-here', passwd), {
    code: 'CONFIG',
    hint: /useradd --system .* nobody-here/,
  });
});

for (const name of ['root', 'wheel']) {
  t.test(`refuses ${name}: workers read hostile bytes`, async (t) => {
    t.throws(() => findUser(name, passwd), { code: 'CONFIG', hint: /--worker-user/ });
  });
}
