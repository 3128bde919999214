/** Two that read the same direction, of which the first cuts the messages. What one alone does is shown by those that build on it. */
import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { LATER } from '#src/protocols/layer.ts';
import { MessageRewriter, type Plan, type Whole } from '#src/protocols/postgres/message-rewriter.ts';
import { play, type Step } from '#test/support/playbook.ts';
import { message } from '#test/support/postgres-packets.ts';

const text = (value: string): Buffer => Buffer.from(value, 'latin1');

/** Holds `Q` whole, leaves `F` out, asks about `Q` of "?". */
class First extends MessageRewriter<string> {
  readonly asked: string[] = [];

  protected override looksAt(type: number): boolean {
    return 'QFB'.includes(String.fromCharCode(type));
  }

  protected override plan(type: number): Plan {
    const letter = String.fromCharCode(type);
    if (letter === 'F') return { instead: () => message('Q', text('for F')) };
    if (letter === 'B') return { push: (part) => part, end: () => Buffer.alloc(0) };
    return letter === 'Q' ? 'whole' : 'pass';
  }

  protected override whole(bytes: Buffer, at: number, end: number): Whole {
    const content = bytes.toString('latin1', at + 5, end);
    if (content === '?') {
      this.asked.push(content);
      return LATER;
    }
    if (content === 'gone') return Buffer.alloc(0);
    return content === 'other' ? message('Q', text('another')) : null;
  }

  protected override decided(_message: Buffer, answer: string): Whole {
    return message('Q', text(answer));
  }
}

/** Puts `Q` and `d` in capitals, `d` as it passes; sees several `d` at once. */
class Second extends MessageRewriter {
  readonly seen: string[] = [];
  runs = 0;

  protected override plan(type: number, length: number): Plan {
    const letter = String.fromCharCode(type);
    this.seen.push(`${letter}${length - 4}`);
    if (letter === 'Q') return 'whole';
    if (letter === 'L') return { instead: () => message('l') };
    if (letter !== 'd') return 'pass';
    return { push: (part) => text(part.toString('latin1').toUpperCase()), end: () => Buffer.alloc(0) };
  }

  protected override whole(bytes: Buffer, at: number, end: number): Uint8Array | null {
    if (end - at === 6) throw new RangeError('a message that is too short');
    return message('Q', text(bytes.toString('latin1', at + 5, end).toUpperCase()));
  }

  protected override run(bytes: Buffer, at: number) {
    if (bytes[at] === 0x64) this.runs += 1;
    return null;
  }
}

function stage() {
  const second = new Second('agent');
  const first = new First('agent').into(second);
  return { toServer: first, toAgent: new Second('server'), asked: first.asked, second };
}

t.test('the second sees what the first has made of each message', async (t) => {
  const steps: Step<string>[] = [
    { agent: [message('Q', text('same')), message('x', text('passes')), message('d', text('data'))] },
    { toServer: [message('Q', text('SAME')), message('x', text('passes')), message('d', text('DATA'))] },
    {
      agent: [
        message('Q', text('other')),
        message('Q', text('gone')),
        message('F', text('long')),
        message('L'),
      ],
    },
    { toServer: [message('Q', text('ANOTHER')), message('Q', text('FOR F')), message('l')] },
    { agent: [message('Q', text('?')), message('d', text('data'))] },
    { asks: ['?'] },
    { toServer: [] },
    { answer: 'yes' },
    { toServer: [message('Q', text('YES')), message('d', text('DATA'))] },
  ];
  play(t, stage, steps);
});

t.test(
  'each message is planned by the second once, and it takes many at once where the first does not look',
  async (t) => {
    const { toServer, second } = stage();
    toServer.push(Buffer.concat([message('Q', text('same')), message('d', text('data')), message('F')]));
    t.strictSame(second.seen, ['Q4', 'd4', 'Q5']);
    t.equal(second.runs, 1);
  },
);

t.test('they stand at a boundary together', async (t) => {
  const { toServer, second } = stage();
  toServer.push(text('Q\0'));
  t.notOk(second.atBoundary);
  toServer.push(text('\0\0\x08same'));
  t.ok(second.atBoundary);
  toServer.push(message('Q', text('?')));
  t.ok(second.atBoundary, 'nothing of what waits has been sent');
});

t.test(
  'what the second finds wrong is an error of the protocol, before an answer and after it',
  async (t) => {
    const one = stage();
    t.throws(() => one.toServer.push(message('Q', text('x'))), ProtocolError);
    const other = stage();
    other.toServer.push(message('Q', text('?')));
    other.toServer.answer('x');
    t.throws(() => other.toServer.push(Buffer.alloc(0)), ProtocolError);
  },
);

t.test('the first may not rewrite what the second would not see', async (t) => {
  t.throws(() => stage().toServer.push(message('B', text('names'))), /would pass/);
});
