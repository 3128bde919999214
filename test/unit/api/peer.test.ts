import { readFileSync } from 'node:fs';
import t from 'tap';
import { ApiClient } from '#src/api/client.ts';
import { userName } from '#src/api/peer.ts';
import { serveApi } from '#src/api/server.ts';
import { FakeBackend } from './sample.ts';
import { temporaryDirectory } from './temporary.ts';

t.test('who answers is known by the kernel', async (t) => {
  const backend = new FakeBackend();
  const server = await serveApi(`${temporaryDirectory(t)}/run/api.sock`, backend);
  t.teardown(() => server.close());
  await t.rejects(new ApiClient(server.path).answerHold({ id: 'x', approved: true, reason: 'r' }));
  const uid = process.getuid?.() ?? -1;
  const [by] = backend.answeredBy;
  t.match(by, { uid, user: userName(uid, readFileSync('/etc/passwd', 'utf8')) });
  t.ok(by?.login === null || typeof by?.login === 'string');
  t.match(backend.answeredHolds, [{ reason: 'r' }]);
});

t.test('names are those of passwd(5)', async (t) => {
  const passwd = 'root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\nbroken\n::\n';
  t.equal(userName(1001, passwd), 'alice');
  t.equal(userName(0, passwd), 'root');
  t.equal(userName(7, passwd), null);
});
