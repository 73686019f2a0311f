import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int8,
  request,
  response,
  string,
  uuid,
} from "../schema.ts";

/** Kafka's CreateTopicsRequest. */
export const createTopicsRequest = request(
  "CreateTopics",
  19,
  { versions: "2-7", flexible: "5+" },
  {
    topics: array({
      name: string(),
      numPartitions: int32(),
      replicationFactor: int16(),
      assignments: array({ partitionIndex: int32(), brokerIds: array(int32()) }),
      configs: array({ name: string(), value: string({ nullable: true }) }),
    }),
    timeoutMs: int32({ default: 60000 }),
    validateOnly: bool({ default: false }),
  },
);

export type CreateTopicsRequest = Infer<typeof createTopicsRequest>;

/** Kafka's CreateTopicsResponse. */
export const createTopicsResponse = response(
  "CreateTopics",
  19,
  { versions: "2-7", flexible: "5+" },
  {
    throttleTimeMs: int32({ ignorable: true }),
    topics: array({
      name: string(),
      topicId: uuid({ versions: "7+", ignorable: true }),
      errorCode: int16(),
      errorMessage: string({ nullable: true, ignorable: true }),
      topicConfigErrorCode: int16({ versions: "5+", ignorable: true, tag: 0 }),
      numPartitions: int32({ versions: "5+", default: -1, ignorable: true }),
      replicationFactor: int16({ versions: "5+", default: -1, ignorable: true }),
      configs: array(
        {
          name: string(),
          value: string({ nullable: true }),
          readOnly: bool(),
          configSource: int8({ default: -1, ignorable: true }),
          isSensitive: bool(),
        },
        { versions: "5+", nullable: true, ignorable: true },
      ),
    }),
  },
);

export type CreateTopicsResponse = Infer<typeof createTopicsResponse>;
