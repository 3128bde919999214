/**
 * Puts what reads a PostgreSQL session into the way of its bytes. Where two read it (rules about operations, masks), its messages
 * are cut once: the gate goes first, so that what is denied never gets to the masks as what it was.
 */

import type { Denial } from '../protocols/postgres/denials.ts';
import type { MessageRewriter } from '../protocols/postgres/message-rewriter.ts';
import type { StatementGate } from '../protocols/postgres/statement-gate.ts';
import { chain } from './filter-chain.ts';
import type { ByteFilter, RelayOptions } from './relay.ts';

/** Reads without ever having to wait. */
export interface Reading {
  readonly toServer: MessageRewriter;
  readonly toAgent: MessageRewriter;
  /** Asked after each push of the server's: what is to be sent to it now, questions that each end in a Sync. */
  readonly questions: () => readonly Uint8Array[];
}

/** Reads and may have to wait for an answer. */
export interface Gating {
  readonly gate: StatementGate;
  /** Takes what is to be called when an answer has been given to the gate. */
  readonly onAnswer: (wake: () => void) => void;
  /** The agent has ended its side: what still waits is answered. */
  readonly release: () => void;
}

const NOTHING = new Uint8Array(0);

export function readInLayers(
  relay: RelayOptions,
  gating: Gating | null,
  reading: Reading | null,
): RelayOptions {
  if (gating === null && reading === null) return relay;
  if (gating !== null && reading !== null) {
    gating.gate.toServer.into(reading.toServer);
    gating.gate.toAgent.into(reading.toAgent);
  }
  const toAgent = gating?.gate.toAgent ?? reading?.toAgent;
  const agentFilter = gating === null ? reading?.toServer : gateFilter(gating.gate.toServer, gating);
  if (toAgent === undefined || agentFilter === undefined) return relay;
  const serverFilter: ByteFilter =
    reading === null
      ? toAgent
      : { push: (chunk) => toAgent.push(chunk), done: false, back: () => asked(reading, gating) };
  return {
    ...relay,
    agentFilter: chain(relay.agentFilter, agentFilter),
    serverFilter: chain(relay.serverFilter, serverFilter),
  };
}

function asked(reading: Reading, gating: Gating | null): readonly Uint8Array[] {
  const questions = reading.questions();
  for (const _ of questions) gating?.gate.askedBeside();
  return questions;
}

function gateFilter(
  layer: MessageRewriter<Denial | null>,
  { onAnswer, release }: Pick<Gating, 'onAnswer' | 'release'>,
): ByteFilter {
  return {
    push: (chunk) => layer.push(chunk),
    done: false,
    get full() {
      return layer.full;
    },
    onReady: onAnswer,
    end: () => {
      release();
      return layer.push(NOTHING);
    },
  };
}
