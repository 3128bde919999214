import t from 'tap';
import { SluiceError } from '#src/core/errors.ts';
import { kernelError } from '#src/kernel/addon.ts';
import { whyNot } from '#src/kernel/lsm.ts';
import { refusalIn } from '#src/kernel/verifier.ts';

/** As libbpf 1.1 gives it on Linux 6.1. */
const logOf = (lines: readonly string[]): string => `prog 'good': some warning
prog 'sluice_egress': BPF program load failed: Permission denied
prog 'sluice_egress': -- BEGIN PROG LOAD LOG --
${lines.join('\n')}
-- END PROG LOAD LOG --
prog 'sluice_egress': failed to load: -13
failed to load object 'build/bpf/egress.bpf.o'
`;
const STEPS = Array.from({ length: 40 }, (_, n) => `${n}: (b7) r1 = ${n}`);
const FIGURES = ['verification time 40 usec', 'stack depth 8', 'processed 41 insns (limit 1000000)'];
const REASON = "R0 invalid mem access 'scalar'";
const log = logOf([...STEPS, REASON, ...FIGURES]);
const failed = (code: string, text: string): Error =>
  Object.assign(new Error(`load egress.bpf.o: Permission denied (${code})`), { code, log: text });

t.test('which program, and the last of what was said of it', async (t) => {
  const refusal = refusalIn(log);
  t.match(refusal, { program: 'sluice_egress', reason: REASON, forPrivilege: false });
  t.same(refusal?.tail.split('\n'), [...STEPS.slice(-8), REASON, ...FIGURES]);
});

t.test('a log of which only the end was kept', async (t) => {
  t.match(refusalIn(log.slice(log.indexOf('39:'))), { program: 'sluice_egress', reason: REASON });
});

t.test('no judgement', async (t) => {
  t.equal(refusalIn(''), null);
  t.equal(refusalIn("prog 'sluice_egress': failed to load: -1\n"), null, 'a caller without capabilities');
  t.equal(refusalIn(logOf(FIGURES)), null);
});

t.test('the mend is not root where root is refused', async (t) => {
  for (const code of ['EACCES', 'EINVAL', 'E2BIG', 'EPERM']) {
    const error = kernelError('egress.bpf.o cannot be loaded', failed(code, log));
    t.type(error, SluiceError);
    t.equal(error.code, 'KERNEL');
    t.match(error.message, new RegExp(`refuses sluice_egress \\(${code}\\):\n[^]*${REASON}`));
    t.match(error.hint, /report these lines/);
  }
  t.match(kernelError('x', failed('EPERM', '')), { code: 'PERMISSION', hint: /run as root/ });
  const pointers = logOf(['R1 pointer arithmetic on stack prohibited for !root']);
  t.match(kernelError('x', failed('EACCES', pointers)), { code: 'KERNEL', hint: /run as root/ });
});

t.test('why there is no third layer, in one sentence', async (t) => {
  const said = whyNot('load programs for', failed('EACCES', log));
  t.match(said, /its verifier refuses sluice_egress \(EACCES\): R0 invalid mem access 'scalar'$/);
  t.match(whyNot('load programs for', failed('EPERM', '')), /: EPERM$/);
});
