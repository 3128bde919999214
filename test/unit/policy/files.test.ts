import t from 'tap';
import { PolicyFiles } from '#src/policy/files.ts';
import { PEM_MAX_BYTES } from '#src/policy/pem.ts';

function filesOf(contents: Record<string, string>, policyPath = '/etc/sluice/policy.yaml') {
  const reads: string[] = [];
  const files = new PolicyFiles(policyPath, (path) => {
    reads.push(path);
    const content = contents[path];
    if (content === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return content;
  });
  return { files, reads };
}

t.test('paths start at the directory of the document; each file is read once', (t) => {
  const { files, reads } = filesOf({ '/etc/sluice/ca.pem': 'x', '/srv/y': 'y' });
  t.strictSame(files.read('ca.pem'), { ok: true, value: 'x' });
  t.strictSame(files.read('./ca.pem'), { ok: true, value: 'x' });
  t.strictSame(files.read('/srv/y'), { ok: true, value: 'y' });
  t.strictSame(reads, ['/etc/sluice/ca.pem', '/srv/y']);
  t.end();
});

t.test('a file that cannot be read says where it was looked for', (t) => {
  const { files, reads } = filesOf({ '/etc/sluice/big': 'x'.repeat(PEM_MAX_BYTES + 1) });
  t.match(files.read('gone'), {
    ok: false,
    message: 'cannot be read: ENOENT',
    hint: 'looked for at /etc/sluice/gone',
  });
  t.match(files.read('gone'), { ok: false });
  t.strictSame(reads, ['/etc/sluice/gone'], 'nor is it tried again');
  t.match(files.read('big'), { ok: false, message: /larger than/ });
  t.end();
});

t.test(
  'the revision changes with the document and with each file, not with the place of installation',
  (t) => {
    const revision = (
      document: string,
      contents: Record<string, string>,
      directory = '/etc/sluice',
    ): string => {
      const placed = Object.fromEntries(
        Object.entries(contents).map(([name, text]) => [`${directory}/${name}`, text]),
      );
      const { files } = filesOf(placed, `${directory}/policy.yaml`);
      for (const name of Object.keys(contents)) files.read(name);
      return files.revision(document);
    };
    const base = revision('doc', { a: '1', b: '2' });
    t.match(base, /^[0-9a-f]{12}$/);
    t.equal(revision('doc', { b: '2', a: '1' }), base, 'order of reading');
    t.equal(revision('doc', { a: '1', b: '2' }, '/opt/x'), base);
    t.not(revision('doc2', { a: '1', b: '2' }), base);
    t.not(revision('doc', { a: '1', b: '3' }), base);
    t.not(revision('doc', { a: '2', b: '1' }), base, 'swapped contents');
    t.not(revision('doc', { a: '12', b: '' }), base, 'bytes moved from one file to the other');
    t.end();
  },
);
