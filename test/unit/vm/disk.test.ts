import t from 'tap';
import { masterBootRecord, ROOT_PARTUUID } from '#test/vm/disk.ts';

t.test('a partition table with one partition, found by its id', async (t) => {
  const sector = masterBootRecord(2048, 4096);
  t.equal(sector.length, 512);
  t.equal(sector.readUInt16LE(510), 0xaa55);
  t.equal(`${sector.readUInt32LE(440).toString(16)}-01`, ROOT_PARTUUID);
  t.equal(sector[450], 0x83);
  t.same([sector.readUInt32LE(454), sector.readUInt32LE(458)], [2048, 4096]);
  t.ok(
    sector.subarray(462, 510).every((byte) => byte === 0),
    'the other three entries are empty',
  );
});
