import t from 'tap';
import { missingFeatures, missingIn } from '#src/kernel/missing.ts';

t.test('a field the kernel has under another name', async (t) => {
  const log = `5: <invalid CO-RE relocation>
failed to resolve CO-RE relocation <byte_off> [31] struct cgroup.ancestors (0:2 @ offset 16)
processed 6 insns (limit 1000000)`;
  t.same(missingFeatures(log), ['its own struct cgroup.ancestors']);
});

t.test('a helper that is not there, or not for this program', async (t) => {
  const log = `12: (85) call bpf_get_netns_cookie#122
unknown func bpf_get_netns_cookie#122
20: (85) call unknown#174
invalid func unknown#174
program of this type cannot use helper bpf_sk_storage_get#107
unknown func bpf_get_netns_cookie#122`;
  t.same(missingFeatures(log), [
    'the helper bpf_get_netns_cookie for this type of program',
    'the helper bpf_sk_storage_get for this type of program',
    'BPF helper number 174',
  ]);
});

t.test('any other failure', async (t) => {
  t.same(missingFeatures('R1 invalid mem access'), []);
  t.same(missingFeatures(''), []);
  // What libbpf puts in place of an instruction it could not relocate is no helper.
  t.same(missingFeatures('invalid func unknown#195896080'), []);
});

t.test('a kernel that counts maps as locked memory', async (t) => {
  t.match(missingIn('5.10.0-46-cloud-amd64', 'EPERM', ''), [/accounting of BPF memory/]);
  t.same(missingIn('5.11.0', 'EPERM', ''), [], 'from then on EPERM means what it says');
  t.same(missingIn('6.1.0', 'EPERM', ''), []);
  t.same(missingIn('5.10.0', 'EINVAL', 'unknown func bpf_x#1'), [
    'the helper bpf_x for this type of program',
  ]);
});
