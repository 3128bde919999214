import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { findCommand } from '#src/cli/find-command.ts';
import { temporaryDirectory } from '../api/temporary.ts';

t.test('searches as execvp(3) does', async (t) => {
  const root = temporaryDirectory(t);
  const put = (path: string, mode: number): string => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), '');
    chmodSync(join(root, path), mode);
    return join(root, path);
  };
  put('a/plain', 0o644);
  const tool = put('b/tool', 0o755);
  const plain = put('b/plain', 0o755);
  mkdirSync(join(root, 'a/tool'));
  const path = `${root}/a:${root}/nowhere:${root}/b`;
  t.same(findCommand('tool', path, '/'), { kind: 'found', path: tool }, 'a directory is passed over');
  t.same(findCommand('plain', path, '/'), { kind: 'found', path: plain }, 'and a file that is no program');
  t.same(findCommand('tool', `:${root}/a`, join(root, 'b')), { kind: 'found', path: tool }, 'empty: here');
  t.same(findCommand('./tool', path, join(root, 'b')), { kind: 'found', path: tool });
  t.match(findCommand('tool', `${root}/a`, '/'), { exitCode: 126, message: 'tool: not executable' });
  t.match(findCommand('../a/plain', path, join(root, 'b')), { exitCode: 126 });
  t.match(findCommand('other', path, '/'), { exitCode: 127, message: 'other: not found' });
  t.match(findCommand('', path, '/'), { exitCode: 127 });
  t.match(findCommand('./tool/x', path, join(root, 'b')), { exitCode: 127 }, 'below a file');
  t.equal(findCommand('sh', undefined, '/').kind, 'found', 'without a PATH');
});
