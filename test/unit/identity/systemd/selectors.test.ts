import t from 'tap';
import { systemdSelectors } from '#src/identity/systemd/selectors.ts';
import { parseSystemdPlace } from '#src/identity/systemd/unit.ts';

function selectors(path: string): string[] {
  const place = parseSystemdPlace(path);
  return place === null ? [] : systemdSelectors(place);
}

t.test('a system unit', async (t) => {
  t.strictSame(selectors('/system.slice/system-pg.slice/pg@15\\x2dmain.service'), [
    'systemd:slice:system-pg.slice',
    'systemd:unit:pg@15\\x2dmain.service',
    'systemd:template:pg@.service',
    'systemd:instance:15-main',
  ]);
  t.strictSame(selectors('/system.slice'), ['systemd:slice:system.slice']);
});

t.test('a unit of a user manager is never a system unit', async (t) => {
  const list = selectors('/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service');
  t.ok(list.includes('systemd:user-unit:1000:billing.service'));
  t.ok(list.includes('systemd:user-slice:1000:app.slice'));
  t.ok(list.includes('systemd:unit:user@1000.service'));
  t.notOk(list.includes('systemd:unit:billing.service'));
  t.notOk(list.includes('systemd:slice:app.slice'));
});
