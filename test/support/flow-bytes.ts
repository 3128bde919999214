/** `struct sluice_flow` as the kernel would write it: the way back from what src/kernel/layout.ts decodes. */
import type { FlowFacts } from '#src/kernel/facts.ts';
import { layout } from '#src/kernel/layout.ts';
import { addressKey } from '#src/policy/address.ts';

export function flowBytes(facts: FlowFacts): Buffer {
  const { fields, size } = layout.sluice_flow;
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(BigInt(`0x${facts.id}`), fields.id);
  bytes.writeBigUInt64LE(facts.startNs, fields.start_ns);
  bytes.writeBigUInt64LE(facts.netnsCookie, fields.netns_cookie);
  bytes.writeBigUInt64LE(facts.cgroupId, fields.cgroup_id);
  bytes.writeBigUInt64LE(facts.taskStartNs, fields.task_start_ns);
  bytes.writeBigUInt64LE(facts.exeInode, fields.exe_ino);
  bytes.writeUInt32LE(facts.exeDev, fields.exe_dev);
  bytes.writeUInt32LE(facts.pid, fields.pid);
  bytes.writeUInt32LE(facts.uid, fields.uid);
  bytes.writeUInt32LE(facts.gid, fields.gid);
  bytes.writeUInt32LE(facts.agentId, fields.agent);
  Buffer.from(addressKey(facts.dstIp) ?? '', 'hex').copy(bytes, fields.daddr);
  bytes.writeUInt16LE(facts.dstPort, fields.dport);
  bytes.writeUInt8(facts.family, fields.family);
  return bytes;
}
