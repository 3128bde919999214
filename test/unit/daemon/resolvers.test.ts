import t from 'tap';
import { parseResolvConf, resolversOf } from '#src/daemon/resolvers.ts';
import type { CompiledPolicy } from '#src/policy/types.ts';

t.test('reads nameserver lines as glibc does', async (t) => {
  const text =
    '# nameserver 9.9.9.9\nsearch example.org\nnameserver 10.0.0.53\n  nameserver fd00::53\noptions edns0\n';
  t.same(parseResolvConf(text), ['10.0.0.53', 'fd00::53']);
});

t.test('no more than three, and nothing that is no address', async (t) => {
  const lines = [
    'nameserver dns.example.org',
    'nameserver 1.2.3',
    ...[1, 2, 3, 4].map((n) => `nameserver 10.0.0.${n}`),
  ];
  t.same(parseResolvConf(lines.join('\n')), ['10.0.0.1', '10.0.0.2', '10.0.0.3']);
});

t.test('an empty file names none', async (t) => {
  t.same(parseResolvConf(''), []);
});

t.test('policy goes before resolv.conf, also when it names none; a host may have neither', async (t) => {
  const policy = (resolvers: string[] | null): CompiledPolicy => ({ resolvers }) as CompiledPolicy;
  const file = (): string => 'nameserver 10.0.0.53\n';
  t.same(resolversOf(policy(['192.0.2.53']), file), ['192.0.2.53']);
  t.same(resolversOf(policy([]), file), []);
  t.same(resolversOf(policy(null), file), ['10.0.0.53']);
  t.same(
    resolversOf(policy(null), () => {
      throw new Error('ENOENT');
    }),
    [],
  );
});
