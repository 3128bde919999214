import t from 'tap';
import { whyNoRoom } from '#src/flow/hold-room.ts';

t.test('one agent does not take the room of the others, and there is an end to it for all', async (t) => {
  const mine = Array<string>(64).fill('mine');
  t.equal(whyNoRoom(mine.slice(1), 'mine'), null);
  t.match(whyNoRoom(mine, 'mine'), /of this agent/);
  t.equal(whyNoRoom(mine, 'other'), null);
  const all = Array.from({ length: 256 }, (_, n) => `${n}`);
  t.equal(whyNoRoom(all.slice(1), 'mine'), null);
  t.match(whyNoRoom(all, 'mine'), /^too many/);
});
