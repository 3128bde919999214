/** Passwords in addresses: `scheme://user:password@host`. The password alone is what was found. */
import { type Detector, isAlnum } from '../detector.ts';

const USER_MAX_BYTES = 64;
const PASSWORD_MAX_BYTES = 128;
const COLON = 0x3a;
const SLASH = 0x2f;

export const urlPassword: Detector = {
  name: 'url-password',
  needles: [{ expression: '[^\\x00-\\x20]@[0-9A-Za-z\\x5b$%]', caseless: false }],
  before: USER_MAX_BYTES + PASSWORD_MAX_BYTES + 8,
  after: 0,
  confirm: (window, end) => {
    const stop = end - 2;
    let start = stop;
    while (isPart(window.at(start - 1)) && stop - start < PASSWORD_MAX_BYTES) start -= 1;
    if (start === stop || window.at(start - 1) !== COLON) return null;
    let user = start - 1;
    while (isPart(window.at(user - 1)) && start - user < USER_MAX_BYTES) user -= 1;
    const isAddress =
      window.at(user - 1) === SLASH &&
      window.at(user - 2) === SLASH &&
      window.at(user - 3) === COLON &&
      isAlnum(window.at(user - 4));
    return isAddress ? { start, end: stop } : null;
  },
};

/** What may stand in a name or password without being escaped, and what people do not escape. */
function isPart(byte: number): boolean {
  return (
    byte > 0x20 &&
    byte !== SLASH &&
    byte !== COLON &&
    byte !== 0x40 &&
    byte !== 0x22 &&
    byte !== 0x27 &&
    byte !== 0x3c
  );
}
