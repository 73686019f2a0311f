import {
  anyCase,
  boolean,
  clusterWide,
  type ConfigSpec,
  double,
  int,
  internal,
  list,
  long,
  optionalInt,
  optionalString,
  short,
  string,
  withoutDefault,
} from "./config-spec.ts";
import { LONG_MAX_TEXT } from "./config-types.ts";

/**
 * Kafka's keys (4.3) that have no effect here. They are read and told as Kafka does, and the start names
 * those that were set. Whoever gives one an effect moves its line to config-keys-*.ts, with a sentence.
 */

const THREADS = keys("one event loop does what Kafka has threads for", {
  "background.threads": clusterWide(int(10, { min: 1 })),
  "group.coordinator.background.threads": int(2, { min: 1 }),
  "group.coordinator.threads": int(4, { min: 1 }),
  "log.cleaner.threads": clusterWide(int(1, { min: 0 })),
  "num.io.threads": clusterWide(int(8, { min: 1 })),
  "num.network.threads": clusterWide(int(3, { min: 1 })),
  "num.recovery.threads.per.data.dir": clusterWide(int(2, { min: 1 })),
  "num.replica.alter.log.dirs.threads": optionalInt({}),
  "num.replica.fetchers": clusterWide(int(1, { min: 1 })),
  "remote.log.reader.threads": clusterWide(int(10, { min: 1 })),
  "share.coordinator.threads": int(1, { min: 1 }),
});

const WAITING = keys(
  "requests wait without a purgatory, and are bounded by queued.max.request.bytes",
  {
    "delete.records.purgatory.purge.interval.requests": int(1, {}),
    "fetch.purgatory.purge.interval.requests": int(1000, {}),
    "max.request.partition.size.limit": int(2000, { min: 1 }),
    "producer.purgatory.purge.interval.requests": int(1000, {}),
    "queued.max.requests": int(500, { min: 1 }),
    "share.fetch.purgatory.purge.interval.requests": int(1000, {}),
  },
);

const QUORUM = keys("a lone node waits for no other", {
  "controller.performance.always.log.threshold.ms": internal(long(2000, { min: 0 })),
  "controller.performance.sample.period.ms": internal(long(60000, { min: 100 })),
  "controller.quorum.append.linger.ms": int(25, { min: 0 }),
  "controller.quorum.retry.backoff.ms": int(20, { min: 0 }),
  "controller.socket.timeout.ms": int(30000, {}),
  "initial.broker.registration.timeout.ms": int(60000, {}),
  "metadata.max.idle.interval.ms": int(500, { min: 0 }),
  "request.timeout.ms": int(30000, {}),
  "server.max.startup.time.ms": internal(long("9223372036854775807", { min: 0 })),
  "socket.connection.setup.timeout.max.ms": long(30000, {}),
  "socket.connection.setup.timeout.ms": long(10000, {}),
});

const REPLICATION = keys("followers are sent records as they come, on streams", {
  "alter.log.dirs.replication.quota.window.num": int(11, { min: 1 }),
  "alter.log.dirs.replication.quota.window.size.seconds": int(1, { min: 1 }),
  "replica.fetch.backoff.ms": int(1000, { min: 0 }),
  "replica.fetch.max.bytes": int(1048576, { min: 0 }),
  "replica.fetch.min.bytes": int(1, {}),
  "replica.fetch.response.max.bytes": int(10485760, { min: 0 }),
  "replica.fetch.wait.max.ms": int(500, {}),
  "replica.socket.receive.buffer.bytes": int(65536, {}),
  "replica.socket.timeout.ms": int(30000, {}),
  "replication.quota.window.num": int(11, { min: 1 }),
  "replication.quota.window.size.seconds": int(1, { min: 1 }),
});

/** They are no properties: Kafka has them only as they are set while it runs. */
const THROTTLES = keys("a lone node has no followers", {
  "follower.replication.throttled.rate": throttle(),
  "leader.replication.throttled.rate": throttle(),
  "replica.alter.log.dirs.io.max.bytes.per.second": throttle(),
});

const METADATA_LOG = keys("the metadata log is kept whole", {
  "internal.metadata.delete.delay.millis": internal(long(60000, {})),
  "internal.metadata.log.segment.bytes": internal(optionalInt({})),
  "internal.metadata.max.batch.size.in.bytes": internal(int(8388608, {})),
  "metadata.log.segment.bytes": int(1073741824, { min: 8388608 }),
  "metadata.log.segment.ms": long(604800000, {}),
  "metadata.max.retention.bytes": long(104857600, {}),
  "metadata.max.retention.ms": long(604800000, {}),
});

const METRICS = keys("metrics are not read this way", {
  "kafka.metrics.polling.interval.secs": int(10, { min: 1 }),
  "kafka.metrics.reporters": list(""),
  "metric.reporters": clusterWide(list("org.apache.kafka.common.metrics.JmxReporter")),
  "metrics.num.samples": int(2, { min: 1 }),
  "metrics.recording.level": string("INFO"),
  "metrics.sample.window.ms": long(30000, { min: 1 }),
  "telemetry.max.bytes": int(1048576, { min: 1 }),
});

const QUOTAS = keys("there are no quotas yet", {
  "controller.quota.window.num": int(11, { min: 1 }),
  "controller.quota.window.size.seconds": int(1, { min: 1 }),
  "quota.window.num": int(11, { min: 1 }),
  "quota.window.size.seconds": int(1, { min: 1 }),
  "remote.log.manager.copy.quota.window.num": int(11, { min: 1 }),
  "remote.log.manager.copy.quota.window.size.seconds": int(1, { min: 1 }),
  "remote.log.manager.fetch.quota.window.num": int(11, { min: 1 }),
  "remote.log.manager.fetch.quota.window.size.seconds": int(1, { min: 1 }),
});

const TRANSACTIONS = keys("transactions are not built yet", {
  "add.partitions.to.txn.retry.backoff.max.ms": int(100, { min: 0 }),
  "add.partitions.to.txn.retry.backoff.ms": int(20, { min: 1 }),
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": int(10000, { min: 1 }),
  "transaction.max.timeout.ms": int(900000, { min: 1 }),
  "transaction.partition.verification.enable": clusterWide(boolean(true)),
  "transaction.remove.expired.transaction.cleanup.interval.ms": int(3600000, { min: 1 }),
  "transaction.state.log.load.buffer.size": int(5242880, { min: 1 }),
  "transaction.state.log.min.isr": int(2, { min: 1 }),
  "transaction.state.log.num.partitions": int(50, { min: 1 }),
  "transaction.state.log.replication.factor": short(3, { min: 1 }),
  "transaction.state.log.segment.bytes": int(104857600, { min: 1 }),
  "transactional.id.expiration.ms": int(604800000, { min: 1 }),
});

const CONSUMER_GROUPS = keys("the new group protocol is not built yet", {
  "group.consumer.assignment.interval.ms": clusterWide(int(1000, { min: 0 })),
  "group.consumer.assignors": list("uniform,range"),
  "group.consumer.heartbeat.interval.ms": int(5000, { min: 1 }),
  "group.consumer.max.assignment.interval.ms": int(15000, { min: 0 }),
  "group.consumer.max.heartbeat.interval.ms": int(15000, { min: 1 }),
  "group.consumer.max.session.timeout.ms": int(60000, { min: 1 }),
  "group.consumer.max.size": int(2147483647, { min: 1 }),
  "group.consumer.migration.policy": anyCase("bidirectional", [
    "DISABLED",
    "DOWNGRADE",
    "UPGRADE",
    "BIDIRECTIONAL",
  ]),
  "group.consumer.min.assignment.interval.ms": int(0, { min: 0 }),
  "group.consumer.min.heartbeat.interval.ms": int(5000, { min: 1 }),
  "group.consumer.min.session.timeout.ms": int(45000, { min: 1 }),
  "group.consumer.regex.refresh.interval.ms": internal(int(600000, { min: 10000 })),
  "group.consumer.session.timeout.ms": int(45000, { min: 1 }),
  "group.coordinator.rebalance.protocols": list("classic,consumer,streams", "", [
    "consumer",
    "classic",
    "share",
    "streams",
  ]),
});

const STREAMS_GROUPS = keys("streams groups are not built yet", {
  "group.streams.assignment.interval.ms": clusterWide(int(1000, { min: 0 })),
  "group.streams.heartbeat.interval.ms": int(5000, { min: 1 }),
  "group.streams.initial.rebalance.delay.ms": int(3000, { min: 0 }),
  "group.streams.max.assignment.interval.ms": int(15000, { min: 0 }),
  "group.streams.max.heartbeat.interval.ms": int(15000, { min: 1 }),
  "group.streams.max.session.timeout.ms": int(60000, { min: 1 }),
  "group.streams.max.size": int(2147483647, { min: 1 }),
  "group.streams.max.standby.replicas": int(2, { min: 0 }),
  "group.streams.min.assignment.interval.ms": int(0, { min: 0 }),
  "group.streams.min.heartbeat.interval.ms": int(5000, { min: 1 }),
  "group.streams.min.session.timeout.ms": int(45000, { min: 1 }),
  "group.streams.num.standby.replicas": int(0, { min: 0 }),
  "group.streams.session.timeout.ms": int(45000, { min: 1 }),
});

const SHARE_GROUPS = keys("share groups are not built yet", {
  "group.share.assignment.interval.ms": clusterWide(int(1000, { min: 0 })),
  "group.share.assignors": list("simple"),
  "group.share.delivery.count.limit": int(5, { min: 2, max: 10 }),
  "group.share.heartbeat.interval.ms": int(5000, { min: 1 }),
  "group.share.initialize.retry.interval.ms": internal(int(30000, { min: 1 })),
  "group.share.max.assignment.interval.ms": int(15000, { min: 0 }),
  "group.share.max.delivery.count.limit": int(10, { min: 5, max: 25 }),
  "group.share.max.heartbeat.interval.ms": int(15000, { min: 1 }),
  "group.share.max.partition.max.record.locks": int(4000, { min: 2000, max: 10000 }),
  "group.share.max.record.lock.duration.ms": int(60000, { min: 30000, max: 3600000 }),
  "group.share.max.session.timeout.ms": int(60000, { min: 1 }),
  "group.share.max.share.sessions": int(2000, { min: 1 }),
  "group.share.max.size": int(200, { min: 1, max: 1000 }),
  "group.share.min.assignment.interval.ms": int(0, { min: 0 }),
  "group.share.min.delivery.count.limit": int(2, { min: 2, max: 5 }),
  "group.share.min.heartbeat.interval.ms": int(5000, { min: 1 }),
  "group.share.min.partition.max.record.locks": int(100, { min: 100, max: 2000 }),
  "group.share.min.record.lock.duration.ms": int(15000, { min: 1000, max: 30000 }),
  "group.share.min.session.timeout.ms": int(45000, { min: 1 }),
  "group.share.partition.max.record.locks": int(2000, { min: 100, max: 10000 }),
  "group.share.persister.class.name": internal(
    string("org.apache.kafka.server.share.persister.DefaultStatePersister"),
  ),
  "group.share.record.lock.duration.ms": int(30000, { min: 1000, max: 3600000 }),
  "group.share.session.timeout.ms": int(45000, { min: 1 }),
  "share.coordinator.append.linger.ms": int(-1, { min: -1 }),
  "share.coordinator.cached.buffer.max.bytes": clusterWide(int(1048588, { min: 524288 })),
  "share.coordinator.cold.partition.snapshot.interval.ms": internal(int(300000, { min: 1 })),
  "share.coordinator.load.buffer.size": int(5242880, { min: 1 }),
  "share.coordinator.snapshot.update.records.per.snapshot": int(500, { min: 0, max: 500 }),
  "share.coordinator.state.topic.compression.codec": int(0, {}),
  "share.coordinator.state.topic.min.isr": short(2, { min: 1 }),
  "share.coordinator.state.topic.num.partitions": int(50, { min: 1 }),
  "share.coordinator.state.topic.prune.interval.ms": internal(int(300000, { min: 1 })),
  "share.coordinator.state.topic.replication.factor": short(3, { min: 1 }),
  "share.coordinator.state.topic.segment.bytes": int(104857600, { min: 1 }),
  "share.coordinator.write.timeout.ms": int(5000, { min: 1 }),
});

const TOKENS = keys("delegation tokens are not built yet", {
  "delegation.token.expiry.check.interval.ms": long(3600000, { min: 1 }),
  "delegation.token.expiry.time.ms": long(86400000, { min: 1 }),
  "delegation.token.max.lifetime.ms": long(604800000, { min: 1 }),
});

const REMOTE = keys("tiered storage is not built yet", {
  "follower.fetch.last.tiered.offset.enable": clusterWide(boolean(false)),
  "log.local.retention.bytes": clusterWide(long(-2, { min: -2 })),
  "log.local.retention.ms": clusterWide(long(-2, { min: -2 })),
  "remote.fetch.max.wait.ms": clusterWide(int(500, { min: 1 })),
  "remote.list.offsets.request.timeout.ms": clusterWide(long(30000, { min: 1 })),
  "remote.log.index.file.cache.total.size.bytes": clusterWide(long(1073741824, { min: 1 })),
  "remote.log.index.file.cache.ttl.ms": internal(long(900000, { min: -1 })),
  "remote.log.manager.copier.thread.pool.size": clusterWide(int(10, { min: 1 })),
  "remote.log.manager.copy.max.bytes.per.second": clusterWide(
    long("9223372036854775807", { min: 1 }),
  ),
  "remote.log.manager.expiration.thread.pool.size": clusterWide(int(10, { min: 1 })),
  "remote.log.manager.fetch.max.bytes.per.second": clusterWide(
    long("9223372036854775807", { min: 1 }),
  ),
  "remote.log.manager.follower.thread.pool.size": clusterWide(int(2, { min: 1 })),
  "remote.log.manager.task.interval.ms": long(30000, { min: 1 }),
  "remote.log.manager.task.retry.backoff.max.ms": internal(long(30000, { min: 1 })),
  "remote.log.manager.task.retry.backoff.ms": internal(long(500, { min: 1 })),
  "remote.log.manager.task.retry.jitter": internal(double(0.2, { min: 0, max: 0.5 })),
  "remote.log.manager.thread.pool.size": int(2, { min: 1 }),
  "remote.log.metadata.custom.metadata.max.bytes": int(128, { min: 0 }),
  "remote.log.metadata.manager.class.name": string(
    "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
  ),
  "remote.log.metadata.manager.class.path": optionalString(),
  "remote.log.metadata.manager.impl.prefix": string("rlmm.config."),
  "remote.log.metadata.manager.listener.name": optionalString(),
  "remote.log.reader.max.pending.tasks": int(100, { min: 1 }),
  "remote.log.storage.manager.class.name": optionalString(),
  "remote.log.storage.manager.class.path": optionalString(),
  "remote.log.storage.manager.impl.prefix": string("rsm.config."),
});

const SOCKETS = keys("the operating system and Node decide", {
  "connection.failed.authentication.delay.ms": int(100, { min: 0 }),
  "socket.listen.backlog.size": int(50, { min: 1 }),
  "socket.receive.buffer.bytes": int(102400, {}),
  "socket.send.buffer.bytes": int(102400, {}),
});

const COORDINATOR = keys("the group coordinator batches and reads by itself", {
  "group.coordinator.append.linger.ms": int(-1, { min: -1 }),
  "group.coordinator.cached.buffer.max.bytes": clusterWide(int(1048588, { min: 524288 })),
  "offsets.load.buffer.size": int(5242880, { min: 1 }),
});

const LOG = keys("the log does it another way", {
  "log.cleaner.io.buffer.load.factor": clusterWide(double(0.9, {})),
  "log.cleaner.io.buffer.size": clusterWide(int(524288, { min: 0 })),
  "log.dir.failure.timeout.ms": long(30000, { min: 1 }),
  "log.flush.start.offset.checkpoint.interval.ms": int(60000, { min: 0 }),
  "producer.id.expiration.check.interval.ms": internal(int(600000, { min: 1 })),
});

const UNSTABLE = keys("there are no unstable versions here", {
  "unstable.api.versions.enable": internal(boolean(false)),
  "unstable.feature.versions.enable": internal(boolean(false)),
});

const OTHER_TUNING = keys("there is nothing here that it tunes", {});

/** By key. */
export const KEYS_WITHOUT_EFFECT: Readonly<Record<string, ConfigSpec<unknown>>> = {
  ...THREADS,
  ...WAITING,
  ...QUORUM,
  ...REPLICATION,
  ...THROTTLES,
  ...METADATA_LOG,
  ...METRICS,
  ...QUOTAS,
  ...TRANSACTIONS,
  ...CONSUMER_GROUPS,
  ...STREAMS_GROUPS,
  ...SHARE_GROUPS,
  ...TOKENS,
  ...REMOTE,
  ...SOCKETS,
  ...COORDINATOR,
  ...LOG,
  ...UNSTABLE,
  ...OTHER_TUNING,
};

function throttle(): ConfigSpec<unknown> {
  return clusterWide(internal(withoutDefault(long(LONG_MAX_TEXT, { min: 0 }))));
}

function keys(
  why: string,
  table: Readonly<Record<string, ConfigSpec<unknown>>>,
): Readonly<Record<string, ConfigSpec<unknown>>> {
  return Object.fromEntries(
    Object.entries(table).map(([key, spec]) => [key, { ...spec, doc: `No effect: ${why}.` }]),
  );
}
