import t from 'tap';
import { PEM_MAX_BYTES } from '#src/policy/pem.ts';
import { readDocument, readNamedFile } from '#src/policy/read-file.ts';

t.test('a document that is not there is no problem of a policy', async (t) => {
  const directory = t.testdir({});
  const missing = {
    code: 'CONFIG',
    message: /^cannot read the policy: ENOENT/,
    hint: /examples\/policy\.yaml/,
  };
  t.throws(() => readDocument(`${directory}/gone.yaml`), missing);
  const message = `cannot read the policy: ${directory} is a directory`;
  t.throws(() => readDocument(directory), { code: 'CONFIG', message, hint: /not its directory/ });
});

t.test('one that is no text, or too long, is', async (t) => {
  const directory = t.testdir({
    latin1: Buffer.from([0x76, 0xe9]),
    big: 'x'.repeat(1024 * 1024 + 1),
    good: 'é',
  });
  t.throws(() => readDocument(`${directory}/latin1`), { code: 'POLICY', message: /:1:1: .*not in UTF-8/ });
  t.throws(() => readDocument(`${directory}/big`), { code: 'POLICY', message: /larger than 1048576 bytes/ });
  t.equal(readDocument(`${directory}/good`), 'é');
});

t.test('no more is read than counts, wherever a path leads', async (t) => {
  t.equal(readNamedFile('/dev/zero').length, PEM_MAX_BYTES + 1);
  t.throws(() => readDocument('/dev/zero'), { code: 'POLICY', message: /larger/ });
});
