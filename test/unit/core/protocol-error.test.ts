import t from 'tap';
import { SluiceError } from '#src/core/errors.ts';
import { ProtocolError } from '#src/core/protocol-error.ts';

t.test('says which protocol was broken and by whom', async (t) => {
  const error = new ProtocolError('postgres', 'server', 'what is wrong', { hint: 'the mend' });
  t.type(error, SluiceError);
  t.match(error, {
    code: 'PROTOCOL',
    name: 'ProtocolError',
    protocol: 'postgres',
    fault: 'server',
    hint: 'the mend',
  });
});
