import { buildBatch } from "../../../src/protocol/records/batch-builder.ts";

export interface MarkerOptions {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly coordinatorEpoch?: number;
}

/** A control batch as a transaction coordinator writes it: the producer's transaction has ended. */
function marker(type: 0 | 1, options: MarkerOptions): Buffer {
  const { producerId, producerEpoch, coordinatorEpoch = 0 } = options;
  const key = Buffer.alloc(4);
  key.writeInt16BE(type, 2);
  const value = Buffer.alloc(6);
  value.writeInt32BE(coordinatorEpoch, 2);
  return buildBatch({
    timestampMs: 1_800_000_000_000,
    records: [{ key, value }],
    producerId,
    producerEpoch,
    baseSequence: -1,
    isTransactional: true,
    isControl: true,
  });
}

export function abortMarker(options: MarkerOptions): Buffer {
  return marker(0, options);
}

export function commitMarker(options: MarkerOptions): Buffer {
  return marker(1, options);
}
