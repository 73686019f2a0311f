import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.DescribeProducersOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Offsets, producers, deleted records. */
final class RecordCases {
  private static final long START_MS = 1_700_000_000_000L;
  private static final TopicPartition FILLED = new TopicPartition("records", 0);
  private static final TopicPartition EMPTY = new TopicPartition("records", 1);
  private static final TopicPartition COMPACTED = new TopicPartition("compacted", 0);

  private RecordCases() {}

  static void run(Probe probe) throws Exception {
    Probe.get(
        probe.admin.createTopics(
                List.of(
                    keptTopic("records", 2),
                    new NewTopic("compacted", 1, (short) 1)
                        .configs(Map.of("cleanup.policy", "compact"))))
            .all());
    // Times go up, stand still and go back: the greatest is in the middle.
    fill(probe, FILLED, 0, 10, 20, 20, 90, 30, 40);
    fill(probe, COMPACTED, 0, 10);
    offsets(probe, "before");
    producers(probe);
    delete(probe);
    offsets(probe, "after the deletion");
  }

  /** Of one replica, whose records are kept for ever: their times lie long ago. */
  static NewTopic keptTopic(String name, int partitions) {
    return new NewTopic(name, partitions, (short) 1).configs(Map.of("retention.ms", "-1"));
  }

  /** Each record is a batch of its own. */
  static void fill(Probe probe, TopicPartition partition, long... secondsAfterStart) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", probe.bootstrap);
    settings.put("acks", "all");
    settings.put("enable.idempotence", "true");
    try (var producer =
        new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
      for (long seconds : secondsAfterStart) {
        byte[] text = ("at " + seconds).getBytes();
        producer
            .send(
                new ProducerRecord<>(
                    partition.topic(), partition.partition(), START_MS + seconds * 1000, text, text))
            .get(30, TimeUnit.SECONDS);
      }
    }
  }

  private static void offsets(Probe probe, String when) {
    Map<String, OffsetSpec> specs =
        Map.ofEntries(
            Map.entry("latest", OffsetSpec.latest()),
            Map.entry("earliest", OffsetSpec.earliest()),
            Map.entry("greatest time", OffsetSpec.maxTimestamp()),
            Map.entry("earliest local", OffsetSpec.earliestLocal()),
            Map.entry("latest tiered", OffsetSpec.latestTiered()),
            Map.entry("earliest pending upload", OffsetSpec.earliestPendingUpload()),
            Map.entry("time 0", OffsetSpec.forTimestamp(0)),
            Map.entry("time 15", OffsetSpec.forTimestamp(START_MS + 15_000)),
            Map.entry("time 20", OffsetSpec.forTimestamp(START_MS + 20_000)),
            Map.entry("time 50", OffsetSpec.forTimestamp(START_MS + 50_000)),
            Map.entry("time 90", OffsetSpec.forTimestamp(START_MS + 90_000)),
            Map.entry("time 91", OffsetSpec.forTimestamp(START_MS + 91_000)));
    List<TopicPartition> partitions =
        List.of(
            FILLED, EMPTY, COMPACTED, new TopicPartition("records", 9), new TopicPartition("nope", 0));
    for (IsolationLevel isolation : IsolationLevel.values()) {
      specs.entrySet().stream()
          .sorted(Map.Entry.comparingByKey())
          .forEach(
              spec -> {
                for (TopicPartition partition : partitions) {
                  // The client looks for what is not there until its time is over: once is enough.
                  boolean isKnown = partition.topic().equals("compacted") || partition.partition() < 2;
                  boolean isWanted =
                      isKnown && !partition.topic().equals("nope")
                          || spec.getKey().equals("latest")
                              && isolation == IsolationLevel.READ_UNCOMMITTED
                              && when.equals("before");
                  if (!isWanted) continue;
                  probe.check(
                      "offsets " + when + "/" + isolation + " " + spec.getKey() + " of " + partition,
                      () -> {
                        var options = new ListOffsetsOptions(isolation);
                        options.timeoutMs(isKnown && !partition.topic().equals("nope") ? 20000 : 3000);
                        ListOffsetsResult result =
                            probe.admin.listOffsets(Map.of(partition, spec.getValue()), options);
                        var found = Probe.get(result.partitionResult(partition));
                        return Probe.fields(
                            "offset", found.offset(),
                            "time", found.timestamp(),
                            "epoch", found.leaderEpoch());
                      });
                }
              });
    }
  }

  private static void producers(Probe probe) {
    for (TopicPartition partition :
        List.of(FILLED, EMPTY, new TopicPartition("nope", 0), new TopicPartition("records", 9))) {
      boolean isThere = partition.equals(FILLED) || partition.equals(EMPTY);
      probe.check(
          "producers/of " + partition,
          () -> {
            var options = new DescribeProducersOptions();
            options.timeoutMs(isThere ? 20000 : 3000);
            var result = probe.admin.describeProducers(List.of(partition), options);
            var state = Probe.get(result.partitionResult(partition));
            return state.activeProducers().stream()
                .map(
                    each ->
                        Probe.fields(
                            "has id", each.producerId() >= 0,
                            "epoch", each.producerEpoch(),
                            "last sequence", each.lastSequence(),
                            "last time", each.lastTimestamp() - START_MS,
                            "coordinator", each.coordinatorEpoch(),
                            "transaction", each.currentTransactionStartOffset()))
                .toList();
          });
    }
  }

  private static void delete(Probe probe) {
    delete(probe, "below an offset", FILLED, 2);
    delete(probe, "below the start", FILLED, 1);
    delete(probe, "beyond the end", FILLED, 100);
    delete(probe, "no offset", FILLED, -2);
    delete(probe, "of an empty partition", EMPTY, -1);
    delete(probe, "of a compacted topic", COMPACTED, 1);
    delete(probe, "all", FILLED, -1);
  }

  private static void delete(Probe probe, String what, TopicPartition partition, long offset) {
    probe.checkEach(
        "delete records/" + what,
        () ->
            probe.admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(offset)))
                .lowWatermarks(),
        deleted -> "low watermark " + deleted.lowWatermark());
  }
}
