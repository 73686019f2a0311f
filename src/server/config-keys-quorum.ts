import {
  boolean,
  int,
  list,
  long,
  oneOf,
  optionalString,
  password,
  perBroker,
  string,
} from "./config-spec.ts";

// Who the other nodes are, how they are reached, and how long anybody waits for them.

export const QUORUM_KEYS = {
  "controller.quorum.voters": list("", "The controllers as id@host:port. A lone node needs none."),
  "controller.quorum.bootstrap.servers": list("", "Where controllers are found. See above."),
  "controller.quorum.election.timeout.ms": int(
    1000,
    { min: 1 },
    "A voter that has asked for votes waits so long, and up to as much again.",
  ),
  "controller.quorum.election.backoff.max.ms": int(
    1000,
    { min: 0 },
    "At most so long it then waits before it asks again.",
  ),
  "controller.quorum.fetch.timeout.ms": int(
    2000,
    { min: 1 },
    "Without an answer of the leader for so long a voter stands for election.",
  ),
  "controller.quorum.request.timeout.ms": int(
    2000,
    { min: 1 },
    "A request between controllers that has no answer by then is sent again.",
  ),
  "holdfast.recovery.wait.ms": long(
    30000,
    { min: -1 },
    "Where all who were in sync came back from a crash, their logs are compared when all are there, or after so " +
      "long (-1: never) among those that are.",
  ),
  "replica.lag.time.max.ms": long(
    30000,
    { min: 1 },
    "A follower that has not had all that its leader had for so long leaves the ISR.",
  ),
  "controller.quorum.fetch.max.bytes": int(
    1048576,
    { min: 1 },
    "So many bytes of the metadata log go in one message, one batch at least.",
  ),
  "controller.quorum.fetch.snapshot.max.bytes": int(
    1048576,
    { min: 1 },
    "So many bytes of a snapshot go in one message.",
  ),
  "metadata.log.max.record.bytes.between.snapshots": long(
    20971520,
    { min: 1 },
    "After so many bytes of the metadata log a snapshot is taken, and the log before it goes.",
  ),
  "metadata.log.max.snapshot.interval.ms": long(
    3600000,
    { min: 0 },
    "The same after so long, if there is anything new; 0: time alone makes none.",
  ),
  "controller.quorum.auto.join.enable": boolean(
    false,
    "Whether a controller that is no voter asks to become one.",
  ),
  "holdfast.cluster.id": optionalString(
    "The cluster's id, the same on each node; several voters need it. A directory keeps what it has.",
  ),
  "holdfast.peer.listener": optionalString(
    "host:port for other nodes where this one is no controller; default: the inter-broker host, a free port.",
  ),
} as const;

/** They count where the controllers' listener is SSL, and are refused elsewhere. */
export const TLS_KEYS = {
  "ssl.client.auth": perBroker(
    oneOf(
      "none",
      ["required", "requested", "none"],
      "Nodes always ask each other for a certificate; clients have no TLS yet.",
    ),
  ),
  "ssl.keystore.type": perBroker(string("JKS", "Between nodes: PEM.")),
  "ssl.keystore.location": perBroker(
    optionalString("A PEM file with this node's key and its chain of certificates."),
  ),
  "ssl.keystore.key": perBroker(password("The key itself, in PEM form.")),
  "ssl.keystore.certificate.chain": perBroker(password("Its certificates, in PEM form.")),
  "ssl.key.password": perBroker(password("Opens the key, where it is encrypted.")),
  "ssl.truststore.type": perBroker(string("JKS", "Between nodes: PEM.")),
  "ssl.truststore.location": perBroker(
    optionalString("A PEM file with the authorities whose certificates are taken."),
  ),
  "ssl.truststore.certificates": perBroker(password("The authorities themselves, in PEM form.")),
} as const;
