/**
 * The shipped unit restarted, stopped and killed under a real systemd, with flows that are open: they go on, or they end,
 * and at no time does anything cross that should not.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { must, run, until } from '#test/support/command.ts';
import { RESPONSE_MARKER } from '#test/support/nginx.ts';
import { patience } from '#test/support/patience.ts';
import { CommandUnit, show, whenActive, writeUnits } from '#test/support/systemd.ts';
import {
  answer,
  closeSystemdField,
  log,
  openSystemdField,
  REQUEST_MARKER,
} from '#test/support/systemd-field.ts';

t.setTimeout(120_000 * patience);
const field = await openSystemdField(['nginx'], (step) => t.comment(step));
t.teardown(() => closeSystemdField(field));
const { world, capture, api, billing, batch, reports, bystander } = field;
await must(['systemctl', 'start', 'sluice'], { timeoutMs: 120_000 });

t.test(
  'restarted: a flow that was open goes on, new ones wait and are served, each has one record',
  async (t) => {
    const over = join(world.dir, 'restarts-are-over');
    const script = join(world.dir, 'lasting.py');
    writeFileSync(
      script,
      `import http.client, os, time
c = http.client.HTTPConnection("shop.test", 80, timeout=120)
asked = 0
while True:
    last = os.path.exists("${over}")
    c.request("GET", "/secret/${REQUEST_MARKER}/lasting", headers={"Connection": "close" if last else "keep-alive"})
    assert b"lasting" in c.getresponse().read()
    asked += 1
    print("asked", asked, flush=True)
    if last: break
    time.sleep(0.2)
print("never broken", flush=True)
`,
    );
    const command = `/usr/bin/python3 ${script}`;
    const lasting = await CommandUnit.make('lasting.service', world.dir, command, 'Slice=apps-batch.slice\n');
    const done = lasting.run();
    await until('the flow to be open', async () => (await api.status()).ledger.open > 0);
    for (let round = 0; round < 3; round += 1) {
      const { MainPID: before } = await show('sluice', 'MainPID');
      const [restarted, connected] = await Promise.all([
        run(['systemctl', 'restart', 'sluice'], { timeoutMs: 120_000 }),
        billing.run(),
      ]);
      t.equal(restarted.code, 0, restarted.stderr + (await log()));
      t.match(connected, { code: 0, output: answer('billing') }, await log());
      t.not((await show('sluice', 'MainPID'))['MainPID'], before);
    }
    t.ok((await api.status()).draining.length >= 1, 'carried by a worker of the first daemon');
    t.equal(
      (await show('sluice', 'NFileDescriptorStore'))['NFileDescriptorStore'],
      '0',
      'the store was emptied',
    );
    writeFileSync(over, '');
    t.match(await done, { code: 0, output: /never broken/ }, await log());
    const any = { sinceMs: null, destination: null, disposition: null, verdict: null, limit: 100 };
    const flows = await until('its record', async () => {
      const found = (await api.flows({ ...any, agent: 'batch' })).filter(
        ({ src }) => src.unit === lasting.name,
      );
      return found.length > 0 ? found : null;
    });
    t.match(flows, [{ reason: 'ok', verdict: 'allow', disposition: 'upgraded' }]);
    t.equal(flows.length, 1);
    await until('the old worker to go', async () => (await api.status()).draining.length === 0);
  },
);

t.test('stopped while a flow is open: nothing is left', async (t) => {
  const command =
    '/usr/bin/python3 -c "import socket,time; s=socket.create_connection((\'shop.test\',80)); time.sleep(600)"';
  const lasting = await CommandUnit.make('idle.service', world.dir, command, 'Slice=apps-batch.slice\n');
  const done = lasting.run();
  await until('the flow to be open', async () => (await api.status()).ledger.open > 0);
  await must(['systemctl', 'restart', 'sluice'], { timeoutMs: 120_000 });
  await must(['systemctl', 'stop', 'sluice'], { timeoutMs: 60_000 });
  t.equal(await must(['sh', '-c', 'pgrep -u sluice || true']), '', 'no worker is left');
  await must(['systemctl', 'kill', '--signal=KILL', lasting.name]);
  await done;
  await must(['systemctl', 'start', 'sluice'], { timeoutMs: 120_000 });
});

t.test('killed: nothing crosses, and nobody can connect until it is back', async (t) => {
  await writeUnits({ 'sluice.service.d/later.conf': '[Service]\nRestartSec=3600\n' });
  await must(['systemctl', 'kill', '--kill-who=main', '--signal=KILL', 'sluice']);
  await whenActive('sluice', 'activating');
  const before = (await capture.packets()).length;
  for (const unit of [billing, batch, reports]) {
    const done = await unit.run();
    t.not(done.code, 0);
    t.notMatch(done.output, RESPONSE_MARKER);
  }
  t.equal((await capture.packets()).length, before, 'not one packet');
  t.match(await bystander.run(), { code: 0, output: 'hello' });
  await writeUnits({ 'sluice.service.d/later.conf': null });
  await must(['systemctl', 'restart', 'sluice'], { timeoutMs: 120_000 });
  t.match(await billing.run(), { code: 0, output: answer('billing') });
});

t.test('killed again: systemd starts it, as the unit says', async (t) => {
  const { MainPID: before } = await show('sluice', 'MainPID');
  await must(['systemctl', 'kill', '--kill-who=main', '--signal=KILL', 'sluice']);
  await until(
    'another daemon',
    async () => {
      const { MainPID, ActiveState } = await show('sluice', 'MainPID', 'ActiveState');
      return ActiveState === 'active' && MainPID !== before;
    },
    60_000,
  );
  t.match(await reports.run(), { code: 0, output: answer('reports') });
});

t.test('no plain text has left the host meanwhile', async () => {
  await capture.assertNoPlaintext([REQUEST_MARKER, RESPONSE_MARKER]);
});
