import t from 'tap';
import { SSL_REQUEST } from '#src/protocols/postgres/startup.ts';
import { askForTls } from '#src/proxy/openers/ask-for-tls.ts';
import { UpstreamError } from '#src/proxy/upstream-error.ts';
import { readBytes, type Teardown } from '../harness.ts';
import { socketPair } from '../socket-pair.ts';

/** What becomes of asking a server that answers so; nothing: it closes. */
async function answered(teardown: Teardown, answer: string): Promise<string> {
  const [far, near] = await socketPair(teardown);
  const asking = askForTls(near, 5_000).then(
    () => 'begin',
    (error: unknown) => (error instanceof UpstreamError ? error.reason : String(error)),
  );
  t.same(await readBytes(far, SSL_REQUEST.length), SSL_REQUEST);
  if (answer === '') far.end();
  else far.write(answer);
  return asking;
}

t.test('a server is to say S and nothing else', async (t) => {
  t.equal(await answered(t.teardown, 'S'), 'begin');
  for (const answer of ['N', 'E', '']) t.equal(await answered(t.teardown, answer), 'tls_not_offered', answer);
  t.equal(await answered(t.teardown, 'Splain'), 'protocol_error');
  t.match(await answered(t.teardown, 'X'), /ProtocolError.*neither S nor N/);
});
