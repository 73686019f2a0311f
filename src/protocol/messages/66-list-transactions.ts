import {
  array,
  exactInt64,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's ListTransactionsRequest. */
export const listTransactionsRequest = request(
  "ListTransactions",
  66,
  { versions: "0-2", flexible: "0+" },
  {
    stateFilters: array(string()),
    producerIdFilters: array(int64()),
    durationFilter: exactInt64({ versions: "1+", default: -1n }),
    transactionalIdPattern: string({ versions: "2+", nullable: true, default: null }),
  },
);

export type ListTransactionsRequest = Infer<typeof listTransactionsRequest>;

/** Kafka's ListTransactionsResponse. */
export const listTransactionsResponse = response(
  "ListTransactions",
  66,
  { versions: "0-2", flexible: "0+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16(),
    unknownStateFilters: array(string()),
    transactionStates: array({
      transactionalId: string(),
      producerId: int64(),
      transactionState: string(),
    }),
  },
);

export type ListTransactionsResponse = Infer<typeof listTransactionsResponse>;
