import { array, type Infer, int16, int32, request, response, string, uuid } from "../schema.ts";

/** Kafka's DeleteTopicsRequest. */
export const deleteTopicsRequest = request(
  "DeleteTopics",
  20,
  { versions: "1-6", flexible: "4+" },
  {
    topics: array(
      { name: string({ nullable: true, default: null }), topicId: uuid() },
      { versions: "6+" },
    ),
    topicNames: array(string(), { versions: "0-5", ignorable: true }),
    timeoutMs: int32(),
  },
);

export type DeleteTopicsRequest = Infer<typeof deleteTopicsRequest>;

/** Kafka's DeleteTopicsResponse. */
export const deleteTopicsResponse = response(
  "DeleteTopics",
  20,
  { versions: "1-6", flexible: "4+" },
  {
    throttleTimeMs: int32({ ignorable: true }),
    responses: array({
      name: string({ nullable: "6+" }),
      topicId: uuid({ versions: "6+", ignorable: true }),
      errorCode: int16(),
      errorMessage: string({ versions: "5+", nullable: true, default: null, ignorable: true }),
    }),
  },
);

export type DeleteTopicsResponse = Infer<typeof deleteTopicsResponse>;
