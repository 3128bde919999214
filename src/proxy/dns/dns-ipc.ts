/**
 * What the daemon and the forwarder say to each other, over a channel (channel.ts). As with workers, the daemon believes
 * nothing of it: the forwarder reads hostile bytes.
 */
import type { DnsPolicy } from '../../policy/dns-names.ts';
import type { ListenerHandle, NameAnswer, NameQuestion, ReportedFlow } from '../ipc.ts';
import type { DnsCounters } from './forwarder.ts';

export type ToForwarder =
  | {
      readonly type: 'init';
      readonly policy: DnsPolicy;
      readonly datagrams: readonly ListenerHandle[];
      readonly listeners: readonly ListenerHandle[];
    }
  | { readonly type: 'policy'; readonly policy: DnsPolicy }
  | { readonly type: 'stop' }
  /** A worker's question, with which worker's it is. */
  | (NameQuestion & { readonly worker: number });

export type FromForwarder =
  | { readonly type: 'ready' }
  | { readonly type: 'policy-applied'; readonly revision: string }
  | { readonly type: 'flows'; readonly flows: readonly ReportedFlow[] }
  | {
      readonly type: 'stats';
      readonly counters: DnsCounters;
      /** It takes no connections for want of file descriptors; they wait. */
      readonly outOfDescriptors: boolean;
    }
  | (NameAnswer & { readonly worker: number });
