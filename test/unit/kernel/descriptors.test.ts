import { closeSync, fstatSync, openSync } from 'node:fs';
import t from 'tap';
import {
  closeFd,
  DescriptorReader,
  descriptorPair,
  MAX_DESCRIPTORS,
  sendDescriptors,
  sendNow,
} from '#src/kernel/descriptors.ts';
import { fdOf } from '#src/proxy/socket-fd.ts';
import { socketPair } from '../proxy/socket-pair.ts';

interface Parcel {
  readonly text: string;
  readonly fds: readonly number[];
}

/** A line with its reader; `next` gives one message after the other. */
function openLine(teardown: (end: () => unknown) => void) {
  const [ours, theirs] = descriptorPair();
  const parcels: Parcel[] = [];
  const waiting: ((parcel: Parcel) => void)[] = [];
  const reader = new DescriptorReader(theirs, (message, fds) => {
    const parcel = { text: message.toString(), fds };
    const waiter = waiting.shift();
    if (waiter === undefined) parcels.push(parcel);
    else waiter(parcel);
  });
  teardown(() => reader.close());
  // The reader's thread does not keep the process alive; what waits for it here must.
  const alive = setInterval(() => undefined, 1_000);
  teardown(() => clearInterval(alive));
  const next = (): Promise<Parcel> => {
    const parcel = parcels.shift();
    return parcel === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(parcel);
  };
  return { line: ours, next, reader };
}

t.test('messages come whole and in order, with duplicates of what was sent', async (t) => {
  const { line, next } = openLine(t.teardown);
  const file = openSync('/dev/null', 'r');
  t.equal(sendDescriptors(line, Buffer.from('one'), [file, file]), true);
  t.equal(sendDescriptors(line, Buffer.from('two'), []), true);
  closeSync(file);
  const one = await next();
  t.equal(one.text, 'one');
  t.equal(one.fds.length, 2);
  for (const fd of one.fds) {
    t.ok(fstatSync(fd).isCharacterDevice());
    closeFd(fd);
  }
  t.same(await next(), { text: 'two', fds: [] });
  closeFd(line);
});

t.test(
  'a line nobody reads fills up, and a line nobody holds is none: both are told, not waited for',
  async (t) => {
    const [ours, theirs] = descriptorPair();
    let sent = 0;
    while (sendDescriptors(ours, Buffer.alloc(500), [])) {
      sent += 1;
      if (sent > 100_000) break;
    }
    t.ok(sent > 10 && sent < 100_000, `${sent} messages`);
    closeFd(theirs);
    t.equal(sendDescriptors(ours, Buffer.from('x'), []), false);
    closeFd(ours);
  },
);

t.test('what is too much is refused before it is sent', async (t) => {
  const [ours, theirs] = descriptorPair();
  t.throws(() => sendDescriptors(ours, Buffer.alloc(2049), []), RangeError);
  t.throws(() => sendDescriptors(ours, Buffer.alloc(0), []), RangeError);
  t.throws(() => sendDescriptors(ours, Buffer.from('x'), Array(MAX_DESCRIPTORS + 1).fill(ours)), RangeError);
  const most: number[] = Array(MAX_DESCRIPTORS).fill(ours);
  t.equal(sendDescriptors(ours, Buffer.from('x'), most), true);
  closeFd(ours);
  closeFd(theirs);
});

t.test('a reader that is closed stops, twice without harm', async (t) => {
  const { line, reader } = openLine(t.teardown);
  reader.close();
  reader.close();
  t.equal(sendDescriptors(line, Buffer.from('x'), []), false);
  closeFd(line);
});

t.test('a connection takes what there is room for, and what is wrong with it is not told', async (t) => {
  const [near, far] = await socketPair(t.teardown);
  const fd = fdOf(near) ?? -1;
  t.equal(sendNow(fd, Buffer.from('xyz').subarray(1)), 2);
  const part = Buffer.alloc(1_000_000);
  let taken = 0;
  while (taken < 100_000_000) {
    const sent = sendNow(fd, part);
    taken += sent;
    if (sent === 0) break;
  }
  t.ok(taken > 0 && taken < 100_000_000, `${taken} bytes were taken`);
  far.resetAndDestroy();
  near.resume();
  await new Promise((resolve) => near.once('close', resolve));
  t.equal(sendNow(fd, part), 0, 'a descriptor that is no more');
  t.equal(sendNow(-1, part), 0);
});
