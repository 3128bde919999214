/** A PostgreSQL server whose words are a script, behind real TLS. */
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { KeyPair } from '#test/support/certificates.ts';
import { ignore, plainServer, type Script, type Teardown, type TestServer } from './harness.ts';

/** Answers whatever is said first, which is to be SSLRequest, and then does what `script` says. */
export function postgresServer(
  teardown: Teardown,
  pair: KeyPair,
  script: Script<Socket>,
  answer = 'S',
): Promise<TestServer> {
  return plainServer(teardown, (raw) => {
    raw.once('data', () => {
      raw.pause();
      raw.removeAllListeners('data');
      raw.write(answer, () => {
        const secure = new TLSSocket(raw, { isServer: true, ...pair });
        secure.on('error', ignore);
        script(secure);
      });
    });
  });
}
