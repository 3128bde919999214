/** What workers say of holds: claims, of which nothing is used before its shape was checked. */
import { type Check, is, isCount, isFlowId, isText, listOf, orNull, shape } from '../core/claim.ts';
import {
  HELD_LIST_MAX,
  HELD_TEXT_MAX_CHARS,
  type Held,
  HOLD_OUTCOMES,
  type HoldOutcome,
  SHOWN_MAX_CHARS,
  SHOWN_TEXTS_MAX,
  type ShownText,
} from '../flow/hold.ts';
import type { HeldMessage, HoldsRefusedMessage, ReleasedMessage } from '../proxy/ipc.ts';

const TIMEOUT_MAX_MS = 3_600_000;
const AGENT_MAX_CHARS = 63;
/** In one message; more than agents can try while a daemon is replaced. */
const REFUSED_MAX = 1_000_000_000;

/** A worker of an earlier version does not say for how long it has waited: it does not wait from one daemon to the next. */
export type HeldClaim = Omit<HeldMessage, 'waitedMs'> & { readonly waitedMs: number | undefined };

/** What a worker of an earlier version says has no outcome. */
export type Released = Omit<ReleasedMessage, 'outcome'> & { readonly outcome: HoldOutcome | undefined };

const isDuration: Check = (value) => isCount(value) && value <= TIMEOUT_MAX_MS;
const isList = listOf(isText(HELD_TEXT_MAX_CHARS), HELD_LIST_MAX);

export const isHeld = shape<HeldClaim>({
  type: is('held'),
  hold: isCount,
  held: shape<Held>({
    agent: orNull(isText(AGENT_MAX_CHARS)),
    flow: isFlowId,
    rules: isList,
    verbs: isList,
    objects: isList,
    texts: listOf(
      shape<ShownText>({ text: orNull(isText(SHOWN_MAX_CHARS)), bytes: isCount }),
      SHOWN_TEXTS_MAX,
    ),
    values: isList,
    more: isCount,
    timeoutMs: isDuration,
  }),
  waitedMs: (value) => value === undefined || isDuration(value),
});

const OUTCOME_NAMES: ReadonlySet<unknown> = new Set(HOLD_OUTCOMES);
export const isReleased = shape<Released>({
  type: is('released'),
  hold: isCount,
  outcome: (value) => value === undefined || OUTCOME_NAMES.has(value),
});

export const isHoldsRefused = shape<HoldsRefusedMessage>({
  type: is('holds-refused'),
  count: (value) => isCount(value) && value <= REFUSED_MAX,
});
