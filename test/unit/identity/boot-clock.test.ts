import t from 'tap';
import { BootClock } from '#src/identity/boot-clock.ts';

const BOOT_MS = Date.UTC(2026, 0, 1, 12, 0, 0);

/** A host whose uptime counter moves in steps of 10 ms under a clock that moves by 3 ms a look. */
function fakeHost() {
  let upMs = 5_000;
  let setMs = 0;
  let waitMs = 0;
  return {
    setWallClock: (byMs: number) => {
      setMs += byMs;
    },
    pass: (ms: number) => {
      upMs += ms;
    },
    /** Whoever looks next is kept waiting between the two readings. */
    keepWaiting: (ms: number) => {
      waitMs = ms;
    },
    clock: { now: () => BOOT_MS + setMs + upMs, monotonic: () => upMs },
    readUptime: () => {
      upMs += 3;
      const text = `${(Math.floor(upMs / 10) / 100).toFixed(2)} 99.00\n`;
      upMs += waitMs;
      waitMs = 0;
      return text;
    },
  };
}

t.test('finds the moment of boot better than one tick of /proc/uptime', async (t) => {
  const boot = new BootClock(fakeHost());
  t.ok(Math.abs(boot.epochMs(0n) - BOOT_MS) < 4, `${boot.epochMs(0n) - BOOT_MS} ms off`);
  t.match(boot.rfc3339(90_000_000_000n), /^2026-01-01T12:01:30\.00\dZ$/);
});

t.test('does not wander with the ticks, and follows a wall clock that was set', async (t) => {
  const host = fakeHost();
  const boot = new BootClock(host);
  const first = boot.epochMs(0n);
  for (let look = 0; look < 20; look++) {
    host.pass(1_007);
    t.ok(Math.abs(boot.epochMs(0n) - first) <= 4);
  }
  host.setWallClock(3_600_000);
  host.pass(1_000);
  t.ok(Math.abs(boot.epochMs(0n) - first - 3_600_000) < 15);
});

t.test('whoever was kept waiting while it looked takes nobody for having set the clock', async (t) => {
  const host = fakeHost();
  const boot = new BootClock(host);
  const first = boot.epochMs(0n);
  for (const ms of [30, 250, 2_000, 60_000]) {
    host.pass(1_007);
    host.keepWaiting(ms);
    t.ok(Math.abs(boot.epochMs(0n) - first) <= 4, `for ${ms} ms`);
  }
});

t.test('nowNs is CLOCK_BOOTTIME', async (t) => {
  const boot = new BootClock();
  const uptimeS = Number(process.hrtime.bigint() / 1_000_000_000n);
  t.ok(
    Number(boot.nowNs() / 1_000_000_000n) >= uptimeS - 1,
    'not before CLOCK_MONOTONIC, which leaves out suspend',
  );
});
