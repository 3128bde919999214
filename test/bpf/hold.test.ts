/**
 * Who may be connected to while there is no daemon: its listeners for as long as the next one may take to come, and
 * nobody's where none was announced, though a listener with the mark be there still.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { addon } from '#src/kernel/addon.ts';
import { encodeU32, layout } from '#src/kernel/layout.ts';
import { PIN_DIRECTORY, PlaneFixture } from '#test/support/plane.ts';
import { PYTHON } from '#test/support/python.ts';

// Starting may have to wait for the host: see host-lock.ts.
t.setTimeout(280_000);
const fixture = await PlaneFixture.open();
t.teardown(() => fixture.close());
// Written anew, the whole of it is what this process has it to be.
t.beforeEach(() => {
  fixture.plane.holdUntil(0n);
  fixture.reset();
});

const LONG_NS = 600_000_000_000n;

/** CLOCK_BOOTTIME, as another process reads it. */
async function bootNs(): Promise<bigint> {
  const child = spawn(PYTHON, ['-c', 'import time; print(time.clock_gettime_ns(time.CLOCK_BOOTTIME))']);
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
  });
  await once(child, 'close');
  return BigInt(text.trim());
}

async function connects(): Promise<string> {
  const script = `
import errno, socket
try: print(socket.create_connection(("192.0.2.1", 80), 60).recv(100).decode())
except OSError as error: print(errno.errorcode.get(error.errno, str(error)))`;
  const { stdout, stderr } = await fixture.agent(script);
  return stdout.trim() || stderr;
}

/** Has the kernel take another process for the daemon, and that process killed. */
async function killDaemon(): Promise<void> {
  const daemon = spawn('sleep', ['60']);
  await once(daemon, 'spawn');
  const map = new (addon().BpfMap)(`${PIN_DIRECTORY}/maps/sluice_config`);
  const config = map.lookup(encodeU32(0));
  if (config === null) throw new Error('there is no configuration');
  config.writeUInt32LE(daemon.pid ?? 0, layout.sluice_config.fields.daemon_pid);
  map.update(encodeU32(0), config);
  map.close();
  daemon.kill('SIGKILL');
  await once(daemon, 'close');
}

t.test('connections are taken in until the time is over, and refused after it', async (t) => {
  const now = await bootNs();
  fixture.plane.holdUntil(now + LONG_NS);
  t.equal(await connects(), 'hello from the proxy');
  fixture.plane.holdUntil(now - 1n);
  t.equal(await connects(), 'EPERM', 'whoever listens');
  t.match((await fixture.waitFor('denied'))[0], { reason: 'no_listener' });
  fixture.plane.holdUntil(0n);
  t.equal(await connects(), 'hello from the proxy', 'the next daemon ends the wait');
});

t.test('a daemon that is killed takes the mark with it, though its listeners stay', async (t) => {
  t.equal(await connects(), 'hello from the proxy');
  await killDaemon();
  t.equal(await connects(), 'EPERM');
  t.match((await fixture.waitFor('denied'))[0], { reason: 'no_listener' });
});

t.test('one that has announced the next leaves it', async (t) => {
  fixture.plane.holdUntil((await bootNs()) + LONG_NS);
  await killDaemon();
  t.equal(await connects(), 'hello from the proxy');
});
