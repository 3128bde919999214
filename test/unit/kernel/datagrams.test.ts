import t from 'tap';
import { isMapped, sockaddr } from '#src/kernel/datagrams.ts';

t.test('whom to answer is written as the kernel takes it', async (t) => {
  const mapped = Buffer.from('00000000000000000000ffff7f000001', 'hex');
  t.equal(isMapped(mapped), true);
  t.equal(sockaddr(mapped, 0x1234).toString('hex'), '020012347f0000010000000000000000');
  const v6 = Buffer.from('fd000198000000000000000000000001', 'hex');
  t.equal(isMapped(v6), false);
  t.equal(sockaddr(v6, 53).toString('hex'), `0a00003500000000${v6.toString('hex')}00000000`);
});
