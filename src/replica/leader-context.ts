import type { Partition } from "./partition.ts";

/** What a partition that is led needs of the node. */
export interface LeaderContext {
  readonly nodeId: number;
  readonly nowMs: () => number;
  /** Whether a controller has confirmed lately that this node is there (R15). Read before every ack. */
  readonly holdsLease: () => boolean;
  /** Acks are held back until there is a lease again: then `releaseAcks` is to be called. */
  readonly onHeldBack: (partition: Partition) => void;
  /** Its ISR may be another than the committed one. */
  readonly onIsrNews: (partition: Partition) => void;
}
