import {
  array,
  bool,
  type Infer,
  int16,
  int32,
  int64,
  request,
  response,
  string,
} from "../schema.ts";

/** Kafka's DescribeLogDirsRequest. */
export const describeLogDirsRequest = request(
  "DescribeLogDirs",
  35,
  { versions: "1-5", flexible: "2+" },
  { topics: array({ topic: string(), partitions: array(int32()) }, { nullable: true }) },
);

export type DescribeLogDirsRequest = Infer<typeof describeLogDirsRequest>;

/** Kafka's DescribeLogDirsResponse. */
export const describeLogDirsResponse = response(
  "DescribeLogDirs",
  35,
  { versions: "1-5", flexible: "2+" },
  {
    throttleTimeMs: int32(),
    errorCode: int16({ versions: "3+", ignorable: true }),
    results: array({
      errorCode: int16(),
      logDir: string(),
      topics: array({
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          partitionSize: int64(),
          offsetLag: int64(),
          isFutureKey: bool(),
        }),
      }),
      totalBytes: int64({ versions: "4+", default: -1, ignorable: true }),
      usableBytes: int64({ versions: "4+", default: -1, ignorable: true }),
      isCordoned: bool({ versions: "5+", default: false, ignorable: true }),
    }),
  },
);

export type DescribeLogDirsResponse = Infer<typeof describeLogDirsResponse>;
