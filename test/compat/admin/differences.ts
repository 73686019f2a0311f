/** Cases of the probe in which Holdfast does not answer as Kafka does. */
export interface KnownDifference {
  /** The first cell of a row of docs/differences.md, which says why. */
  readonly row: string;
  /** Names of cases. */
  readonly cases: RegExp;
  /** The part of both answers that differs, when the rest is to be the same. */
  readonly part?: RegExp;
}

/** Meant. */
export const MEANT: readonly KnownDifference[] = [
  { row: "levels of `metadata.version`", cases: /^features\/supported metadata\.version$/ },
  {
    row: "`kraft.version`",
    cases: /^features\/finalized kraft\.version$|^nodes\/(add|remove) a voter$/,
  },
  {
    row: "ListOffsets, the greatest timestamp",
    cases: /^offsets after the deletion\/.* greatest time of records-0$/,
  },
  {
    row: "`min.insync.replicas` of the brokers",
    cases: /^create\/.*answer for /,
    part: /min\.insync\.replicas=1 \w+/g,
  },
  { row: "`min.insync.replicas` of the brokers", cases: /^configs\/.*: min\.insync\.replicas$/ },
  { row: "settings of its own", cases: /^configs\/broker: holdfast\./ },
  { row: "`queued.max.request.bytes`", cases: /^configs\/broker: queued\.max\.request\.bytes$/ },
];

/** Not built yet: each ends when its cases answer as Kafka's. */
export const PENDING: readonly KnownDifference[] = [
  {
    row: "transactions",
    cases: /^transactions\/|^features\/(finalized|supported) transaction\.version$/,
  },
  {
    row: "the new group protocol (KIP-848), share groups, streams groups",
    cases:
      /^(share|streams) groups\/|^features\/(finalized|supported) (group|share|streams)\.version$/,
  },
  { row: "users, ACLs, quotas, delegation tokens", cases: /^(acls|quotas|scram|tokens)\// },
];
