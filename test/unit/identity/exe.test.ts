import { execFileSync, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { errnoOf } from '#src/core/errors.ts';
import { type ExeFinder, openExe } from '#src/identity/exe.ts';
import { kernelDevice } from '#src/identity/file-id.ts';
import { isSameProcess } from '#src/identity/process.ts';
import type { FlowFacts } from '#src/kernel/facts.ts';
import { FakeHost, statLine } from '#test/unit/identity/fake-proc.ts';

const FUTURE_MS = Date.now() + 3_600_000;

function setUp(dir: string) {
  const host = new FakeHost(dir);
  const exe = host.executable('agent', 'one');
  const facts = host.process({ pid: 500, ticks: 777n, exe, cgroup: '/a.service' });
  const finder = (some: Partial<ExeFinder> = {}): ExeFinder => ({
    procRoot: host.procRoot,
    isSameProcess: (pid, taskStartNs) => isSameProcess(host.procRoot, pid, taskStartNs),
    pathHint: () => null,
    epochMs: () => FUTURE_MS,
    ...some,
  });
  return { host, exe, facts, finder };
}

async function pathOf(finder: ExeFinder, facts: FlowFacts) {
  const found = await openExe(finder, facts);
  await found?.handle.close();
  return found === null ? null : { path: found.path, pathVerified: found.pathVerified };
}

t.test('names the executable of a living process', async (t) => {
  const { exe, facts, finder } = setUp(t.testdir());
  t.strictSame(await pathOf(finder(), facts), { path: exe, pathVerified: true });
});

t.test('a path that is too long to be told does not hide the file', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-deep-'));
  t.teardown(() => execFileSync('rm', ['-rf', dir]));
  const script = `
import os, shutil
for _ in range(24):
    os.mkdir("d" * 200)
    os.chdir("d" * 200)
shutil.copy("/bin/sleep", "sleep")
os.execv("./sleep", ["sleep", "60"])
`;
  const deep = spawn('/usr/bin/python3', ['-c', script], { cwd: dir, stdio: 'ignore' });
  t.teardown(() => deep.kill('SIGKILL'));
  const program = `/proc/${deep.pid}/exe`;
  const isDeep = (): boolean => {
    try {
      return !readlinkSync(program).startsWith('/');
    } catch (error) {
      return errnoOf(error) === 'ENAMETOOLONG';
    }
  };
  while (deep.exitCode === null && !isDeep()) await new Promise((resolve) => setImmediate(resolve));
  const stat = statSync(program, { bigint: true });
  const { facts, finder } = setUp(t.testdir());
  const own = { ...facts, pid: deep.pid ?? 0, exeDev: kernelDevice(stat.dev), exeInode: stat.ino };
  const found = await openExe(finder({ procRoot: '/proc', isSameProcess: () => true }), own);
  t.match(found, { path: null, pathVerified: false });
  t.equal(found?.stat.size, statSync('/bin/sleep', { bigint: true }).size);
  await found?.handle.close();
});

t.test('pid reused: the next process is not taken for the one that connected', async (t) => {
  const { host, facts, finder } = setUp(t.testdir());
  writeFileSync(join(host.procRoot, '500/stat'), statLine(500, 'agent', 778n));
  t.equal(await pathOf(finder(), facts), null);
});

t.test('pid reused between the reads: found out afterwards', async (t) => {
  const { facts, finder } = setUp(t.testdir());
  const answers = [true, false];
  t.equal(await pathOf(finder({ isSameProcess: () => answers.shift() === true }), facts), null);
  t.strictSame(answers, [], 'asked before and after');
});

t.test('another executable than the kernel saw is none', async (t) => {
  const { host, facts, finder } = setUp(t.testdir());
  const other = host.executable('other', 'two');
  unlinkSync(join(host.procRoot, '500/exe'));
  symlinkSync(other, join(host.procRoot, '500/exe'));
  t.equal(await pathOf(finder(), facts), null);
});

t.test('process gone: a remembered path counts only if it still is that file, untouched', async (t) => {
  const { host, exe, facts, finder } = setUp(t.testdir());
  host.end(500);
  const asked: unknown[] = [];
  const pathHint = (dev: number, inode: bigint) => {
    asked.push([dev, inode]);
    return exe;
  };
  t.equal(await pathOf(finder(), facts), null, 'nobody remembers');
  t.strictSame(await pathOf(finder({ pathHint }), facts), { path: exe, pathVerified: true });
  t.strictSame(asked, [[facts.exeDev, facts.exeInode]]);

  utimesSync(exe, 1, 1);
  t.equal(
    await pathOf(finder({ pathHint, epochMs: () => Date.now() - 60_000 }), facts),
    null,
    'changed after the flow began, whatever its mtime says',
  );

  const next = host.executable('agent.new', 'one');
  renameSync(next, exe);
  t.equal(await pathOf(finder({ pathHint }), facts), null, 'replaced by another file');

  rmSync(exe);
  mkdirSync(exe);
  t.equal(await pathOf(finder({ pathHint }), facts), null, 'a directory by now');
});

t.test('a hint that has become a FIFO does not hold anything up', async (t) => {
  const { host, exe, facts, finder } = setUp(t.testdir());
  host.end(500);
  unlinkSync(exe);
  const { spawnSync } = await import('node:child_process');
  t.equal(spawnSync('mkfifo', [exe]).status, 0);
  t.equal(await pathOf(finder({ pathHint: () => exe }), facts), null);
});
