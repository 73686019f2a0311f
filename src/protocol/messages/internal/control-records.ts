import { type Infer, int16, int32, message } from "../../schema.ts";

/** Kafka's ControlRecordTypeSchema. */
export const controlRecordTypeSchema = message(
  "ControlRecordTypeSchema",
  { versions: "0" },
  { type: int16() },
);

export type ControlRecordTypeSchema = Infer<typeof controlRecordTypeSchema>;

/** Kafka's EndTxnMarker. */
export const endTxnMarker = message(
  "EndTxnMarker",
  { versions: "0" },
  { coordinatorEpoch: int32() },
);

export type EndTxnMarker = Infer<typeof endTxnMarker>;
