import {
  array,
  exactInt64,
  type Infer,
  int16,
  int32,
  int64,
  message,
  uint32,
} from "../../schema.ts";

/** Kafka's ProducerSnapshot. */
export const producerSnapshot = message(
  "ProducerSnapshot",
  { versions: "1" },
  {
    crc: uint32(),
    producerEntries: array({
      producerId: int64(),
      epoch: int16(),
      lastSequence: int32(),
      lastOffset: int64(),
      offsetDelta: int32(),
      timestamp: exactInt64(),
      coordinatorEpoch: int32(),
      currentTxnFirstOffset: int64(),
    }),
  },
);

export type ProducerSnapshot = Infer<typeof producerSnapshot>;

/** Kafka's AbortedTxn. */
export const abortedTxn = message(
  "AbortedTxn",
  { versions: "0" },
  { producerId: int64(), firstOffset: int64(), lastOffset: int64(), lastStableOffset: int64() },
);

export type AbortedTxn = Infer<typeof abortedTxn>;
