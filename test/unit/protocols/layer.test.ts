/** The frame alone, with a protocol of one letter a message: `?` must be decided, `x` is at odds with the protocol. */
import t from 'tap';
import { ProtocolError } from '#src/core/protocol-error.ts';
import { Layer } from '#src/protocols/layer.ts';
import { play, type Step } from '#test/support/playbook.ts';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

class Letters extends Layer<string> {
  readonly asked: string[] = [];
  waited = '';
  #count = 0;
  readonly #atOnce: (layer: Letters) => void;

  constructor(atOnce: (layer: Letters) => void = () => undefined) {
    super();
    this.#atOnce = atOnce;
  }

  protected override take(chunk: Uint8Array): Uint8Array[] {
    const text = Buffer.from(chunk).toString('latin1');
    const at = text.search(/[?x]/);
    if (at === -1) return [chunk];
    if (text[at] === 'x') throw new ProtocolError('postgres', 'agent', 'x');
    this.#count += 1;
    this.asked.push(String(this.#count));
    this.pause(chunk.subarray(at + 1));
    this.#atOnce(this);
    return [chunk.subarray(0, at)];
  }

  protected override answered(answer: string): Uint8Array[] {
    return [bytes(answer)];
  }

  protected override waits(chunk: Uint8Array): void {
    this.waited += Buffer.from(chunk).toString('latin1');
  }
}

function stage(atOnce?: (layer: Letters) => void) {
  const toServer = new Letters(atOnce);
  return { toServer, toAgent: new (class extends Letters {})() as unknown as Layer, asked: toServer.asked };
}

t.test(
  'what comes after a question waits for its answer, in order; the other direction goes on',
  async (t) => {
    const steps: Step<string>[] = [
      { agent: bytes('ab?cd') },
      { asks: ['1'] },
      { toServer: bytes('ab') },
      { server: bytes('meanwhile') },
      { toAgent: bytes('meanwhile') },
      { agent: bytes('e?f') },
      { toServer: [] },
      { answer: '!' },
      { toServer: bytes('!cde') },
      { asks: ['2'] },
      { answer: '' },
      { toServer: bytes('f') },
      { agent: bytes('g') },
      { toServer: bytes('g') },
    ];
    play(t, () => stage(), steps);
  },
);

t.test('an answer may come while the question is being asked', async (t) => {
  const steps: Step<string>[] = [
    { agent: bytes('a?b?c') },
    { asks: ['1', '2'] },
    { toServer: bytes('a!b!c') },
  ];
  play(t, () => stage((layer) => layer.answer('!')), steps);
});

t.test('it is answered once, and not before it has asked', async (t) => {
  const steps: Step<string>[] = [
    { answer: 'early' },
    { agent: bytes('?') },
    { asks: ['1'] },
    { toServer: [] },
    { answer: '1' },
    { answer: 'again' },
    { agent: bytes('a') },
    { toServer: bytes('1a') },
  ];
  play(t, () => stage(), steps);
});

t.test('it is full when much waits, and takes it all the same', async (t) => {
  const layer = new Letters();
  layer.push(bytes('?'));
  layer.push(Buffer.alloc(65_535, 'a'));
  t.notOk(layer.full);
  layer.push(bytes('b'));
  t.ok(layer.full);
  layer.push(bytes('c'));
  layer.answer('!');
  t.equal(Buffer.concat(layer.push(Buffer.alloc(0))).length, 65_538);
  t.notOk(layer.full);
  t.notOk(layer.paused);
  t.equal(layer.waited.length, 65_537, 'what waits was seen');
});

t.test('what is wrong with bytes that waited shows when they are read, and stays', async (t) => {
  const layer = new Letters();
  layer.push(bytes('?x'));
  layer.answer('!');
  t.throws(() => layer.push(Buffer.alloc(0)), ProtocolError);
  t.throws(() => layer.push(bytes('a')), ProtocolError);
});
