import t from 'tap';
import { unixSelectors } from '#src/identity/unix/selectors.ts';

t.test('says what is known, under the names SPIRE gives it', async (t) => {
  t.strictSame(
    unixSelectors({ uid: 1001, gid: 5, user: 'bill', group: 'tty', path: '/usr/bin/curl', sha256: 'ab' }),
    [
      'unix:uid:1001',
      'unix:gid:5',
      'unix:user:bill',
      'unix:group:tty',
      'unix:path:/usr/bin/curl',
      'unix:sha256:ab',
    ],
  );
  t.strictSame(unixSelectors({ uid: 0, gid: 0, user: null, group: null, path: null, sha256: null }), [
    'unix:uid:0',
    'unix:gid:0',
  ]);
});
