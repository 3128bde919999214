import t from 'tap';
import { chain } from '#src/proxy/filter-chain.ts';
import type { ByteFilter } from '#src/proxy/relay.ts';

/** Marks what passes until it is told that it is done. */
function opening() {
  const state = { done: false, asked: 0, words: ['said'] };
  const filter: ByteFilter = {
    get done() {
      return state.done;
    },
    push: (chunk) => [Buffer.from(`<${Buffer.from(chunk)}>`)],
    back: () => {
      state.asked += 1;
      return state.words.splice(0).map((word) => Buffer.from(word));
    },
  };
  return { filter, state };
}

const rest: ByteFilter = {
  done: false,
  push: (chunk) => [Buffer.from(`[${Buffer.from(chunk)}]`)],
  back: () => [Buffer.from('asked')],
};

function text(parts: readonly Uint8Array[] | undefined): string {
  return Buffer.concat(parts ?? []).toString();
}

t.test('one after the other, and what both have to say', async (t) => {
  const { filter } = opening();
  const both = chain(filter, rest);
  t.equal(text(both.push(Buffer.from('a'))), '[<a>]');
  t.equal(text(both.back?.()), 'saidasked');
  t.equal(both.done, false);
});

t.test('one that is done still says what it has to say, once, and is asked no more', async (t) => {
  const { filter, state } = opening();
  const both = chain(filter, rest);
  both.push(Buffer.from('a'));
  state.done = true;
  t.equal(text(both.back?.()), 'saidasked');
  for (let n = 0; n < 3; n += 1) {
    t.equal(text(both.push(Buffer.from('b'))), '[b]');
    t.equal(text(both.back?.()), 'asked');
  }
  t.equal(state.asked, 1);
});

t.test('alone where there is no other', async (t) => {
  t.equal(chain(null, rest), rest);
});
