import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { isWithin, mixCase, NAME_MAX_BYTES, nameKey, nameText, readName } from '#src/protocols/dns/name.ts';
import { pointer, wire } from '#test/support/dns-messages.ts';
import { seededRandom } from '#test/support/splits.ts';

const refused = (bytes: Buffer, at: number): string => {
  try {
    readName(bytes, at, 'server');
    return 'read';
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return error.message;
  }
};

t.test('plain and compressed names', async (t) => {
  const message = Buffer.concat([wire('b.test'), Buffer.from([1, 0x61]), pointer(2), Buffer.from('rest')]);
  t.same(readName(message, 0, 'server'), { wire: wire('b.test'), end: 8 });
  t.same(readName(message, 8, 'server'), { wire: wire('a.test'), end: 12 });
  t.same(readName(wire(''), 0, 'server'), { wire: Buffer.from([0]), end: 1 }, 'the root');
});

t.test('pointers that do not end', async (t) => {
  t.match(refused(pointer(0), 0), /at itself/);
  t.match(refused(Buffer.concat([pointer(2), pointer(0)]), 0), /forward/);
  t.match(refused(Buffer.concat([pointer(2), pointer(0)]), 2), /forward or at itself/);
  // Label by label back into itself: a, then a again, for ever.
  t.match(refused(Buffer.concat([Buffer.from([1, 0x61]), pointer(0)]), 0), /at itself/);
});

t.test('what is no name', async (t) => {
  t.match(refused(Buffer.from([3, 0x61]), 0), /cut short/);
  t.match(refused(Buffer.from([0xc0]), 0), /cut short/);
  t.match(refused(Buffer.alloc(0), 0), /cut short/);
  t.match(refused(Buffer.from([0x40, 0]), 0), /unknown kind/);
  t.match(refused(Buffer.from([0x80, 0]), 0), /unknown kind/);
  const label = Buffer.concat([Buffer.from([63]), Buffer.alloc(63, 'a')]);
  const longest = Buffer.concat([
    label,
    label,
    label,
    Buffer.from([61]),
    Buffer.alloc(61, 'b'),
    Buffer.from([0]),
  ]);
  t.equal(longest.length, NAME_MAX_BYTES);
  t.equal(refused(longest, 0), 'read');
  t.match(refused(Buffer.concat([label, label, label, label, Buffer.from([0])]), 0), /too long/);
  // Each piece is short, together they are not.
  const pieces = Buffer.concat([label, label, label, label, pointer(0)]);
  t.match(refused(pieces, 192), /too long/);
});

t.test('any bytes: a name within bounds, or the error', async (t) => {
  const random = seededRandom(5);
  let read = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Buffer.from(
      Array.from({ length: 1 + Math.floor(random() * 40) }, () =>
        Math.floor(random() * (random() < 0.5 ? 8 : 256)),
      ),
    );
    const at = Math.floor(random() * bytes.length);
    try {
      const { wire: name, end } = readName(bytes, at, 'agent');
      read += 1;
      if (name.length > NAME_MAX_BYTES || end > bytes.length || end <= at) t.fail(bytes.toString('hex'));
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.fault !== 'agent') throw error;
    }
  }
  t.ok(read > 100, `${read} names`);
});

t.test('one text and one key for every spelling', async (t) => {
  t.equal(nameText(wire('WWW.Example.org')), 'www.example.org');
  t.equal(nameText(wire('')), '.');
  t.equal(nameText(wire('a b.c;d')), 'a\\032b.c\\059d', 'a dot or a control character in a label cannot lie');
  t.equal(nameText(Buffer.from([3, 0x61, 0x2e, 0x62, 0])), 'a\\046b');
  t.equal(nameKey(wire('A.test')), nameKey(wire('a.TEST')));
  t.not(nameKey(wire('a.test')), nameKey(wire('b.test')));
});

t.test('below a name, by whole labels', async (t) => {
  const within = (name: string, ancestor: string): boolean =>
    isWithin(nameKey(wire(name)), nameKey(wire(ancestor)));
  t.equal(within('a.b.test', 'b.test'), true);
  t.equal(within('b.test', 'b.test'), true);
  t.equal(within('b.test', ''), true);
  t.equal(within('ab.test', 'b.test'), false);
  t.equal(within('test', 'b.test'), false);
});

t.test('mixed case is the same name, in every bit of it', async (t) => {
  const name = wire('ab-1.test');
  t.same(mixCase(name, Buffer.alloc(4, 0)), wire('ab-1.test'));
  t.same(mixCase(wire('AB-1.TEST'), Buffer.alloc(4, 0)), wire('ab-1.test'));
  t.same(mixCase(name, Buffer.alloc(4, 0xff)), wire('AB-1.TEST'));
  t.same(
    mixCase(Buffer.from([2, 0x5b, 0x60, 0]), Buffer.alloc(1, 0xff)),
    Buffer.from([2, 0x5b, 0x60, 0]),
    'no letters',
  );
});
