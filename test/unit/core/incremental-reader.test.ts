import t from 'tap';
import { IncrementalReader } from '#src/core/incremental-reader.ts';
import { ProtocolError } from '#src/core/protocol-error.ts';

class Ones extends IncrementalReader<number> {
  reads = 0;

  protected override read(chunk: Uint8Array): number {
    this.reads += 1;
    if (chunk.some((byte) => byte !== 1)) throw new ProtocolError('tls', 'agent', 'not a one');
    return chunk.length;
  }
}

t.test('passes chunks on and values back', async (t) => {
  t.equal(new Ones().push(Buffer.from([1, 1])), 2);
});

t.test('a failure stays, and nothing is read any more', async (t) => {
  const reader = new Ones();
  t.throws(() => reader.push(Buffer.from([2])), { message: 'not a one' });
  t.throws(() => reader.push(Buffer.from([1])), { message: 'not a one' });
  t.equal(reader.reads, 1);
});
