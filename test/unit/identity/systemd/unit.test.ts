import t from 'tap';
import { parseSystemdPlace, splitInstance, unescapeName, unitText } from '#src/identity/systemd/unit.ts';

const CASES: readonly [path: string, unit: string | null, slice: string | null, text: string | null][] = [
  ['/system.slice/billing.service', 'billing.service', 'system.slice', 'billing.service'],
  ['/system.slice/billing.service/worker/3', 'billing.service', 'system.slice', 'billing.service'],
  [
    '/system.slice/system-getty.slice/getty@tty1.service',
    'getty@tty1.service',
    'system-getty.slice',
    'getty@tty1.service',
  ],
  [
    '/system.slice/system-serial\\x2dgetty.slice/serial-getty@ttyS0.service',
    'serial-getty@ttyS0.service',
    'system-serial\\x2dgetty.slice',
    'serial-getty@ttyS0.service',
  ],
  ['/init.scope', 'init.scope', '-.slice', 'init.scope'],
  ['/user.slice/user-1000.slice/session-3.scope', 'session-3.scope', 'user-1000.slice', 'session-3.scope'],
  ['/machine.slice', null, 'machine.slice', null],
  ['/system.slice/_cgroup.service', 'cgroup.service', 'system.slice', 'cgroup.service'],
  ['/', null, null, null],
  ['/sluice/run-7', null, null, null],
  ['/docker/0123456789ab', null, null, null],
  ['/.service', null, null, null],
  ['/x y.service', null, null, null],
];

t.test('reads unit and slice', async (t) => {
  for (const [path, unit, slice, text] of CASES) {
    const place = parseSystemdPlace(path);
    t.equal(place?.unit ?? null, unit, path);
    t.equal(place?.slice ?? null, slice, path);
    t.equal(place?.user ?? null, null, path);
    t.equal(place === null ? null : unitText(place), text, path);
  }
});

t.test('keeps what a user manager says apart from system units', async (t) => {
  const manager = '/user.slice/user-1000.slice/user@1000.service';
  const place = parseSystemdPlace(`${manager}/app.slice/x.service`);
  t.strictSame(place, {
    unit: 'user@1000.service',
    slice: 'user-1000.slice',
    user: { uid: 1000, unit: 'x.service', slice: 'app.slice' },
  });
  t.equal(place && unitText(place), 'user@1000.service/x.service');
  t.strictSame(parseSystemdPlace(manager)?.user, null);
  const alone = parseSystemdPlace(`${manager}/app.slice`);
  t.strictSame(alone?.user, { uid: 1000, unit: null, slice: 'app.slice' });
  t.equal(alone && unitText(alone), 'user@1000.service');
});

t.test('what somebody names a directory of their own makes no system unit', async (t) => {
  for (const path of [
    '/user.slice/user-1000.slice/user@1000.service/system.slice/billing.service',
    '/user.slice/user-1000.slice/user@1000.service/app.slice/user@0.service/system.slice/billing.service',
    '/system.slice/web.service/system.slice/billing.service',
  ]) {
    const place = parseSystemdPlace(path);
    t.not(place?.unit, 'billing.service', path);
    t.not(place && unitText(place), 'billing.service', path);
  }
});

t.test('splits instances and undoes their escapes', async (t) => {
  t.strictSame(splitInstance('getty@tty1.service'), { template: 'getty@.service', instance: 'tty1' });
  t.strictSame(splitInstance('a@b@c.d.service'), { template: 'a@.service', instance: 'b@c.d' });
  t.strictSame(splitInstance('sync@srv-my\\x2ddata.service'), {
    template: 'sync@.service',
    instance: 'srv/my-data',
  });
  for (const name of ['plain.service', 'x@.service', '@y.service']) t.equal(splitInstance(name), null, name);
  t.equal(unescapeName('\\xc3\\xa4'), 'ä');
});
