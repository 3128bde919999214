import t from 'tap';
import { mirrorsOf, sourceLine } from '#test/vm/apt.ts';

const text = `http://deb.example/debian/ Debian
http://deb.example/debian/ Debian
http://deb.example/debian-security/ Debian-Security
http://other.example/ Other
`;

t.test('the mirrors are those apt uses', async (t) => {
  const mirrors = mirrorsOf(text);
  t.same(mirrors, { main: 'http://deb.example/debian/', security: 'http://deb.example/debian-security/' });
  t.match(
    sourceLine(mirrors, 'trixie'),
    /^deb \[signed-by=\S+\] http:\/\/deb\.example\/debian\/ trixie main$/,
  );
  t.match(sourceLine(mirrors, 'bookworm-security'), / http:\/\/deb\.example\/debian-security\/ /);
  t.match(sourceLine(mirrors, 'trixie', 'deb-src'), /^deb-src /);
});

t.test('without them there is nothing to build from', async (t) => {
  t.throws(() => mirrorsOf('http://other.example/ Ubuntu\n'), { name: 'CannotRun', message: /Mend: / });
  t.throws(() => mirrorsOf(''), { name: 'CannotRun' });
});
