import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.TopicListing;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;

/** Topics and partitions: made, described, grown, elected for, deleted. */
final class TopicCases {
  private TopicCases() {}

  static void run(Probe probe) throws Exception {
    create(probe);
    createManually(probe);
    describe(probe);
    grow(probe);
    elect(probe);
    delete(probe);
  }

  private static NewTopic topic(String name, int partitions, int replicas) {
    return new NewTopic(name, partitions, (short) replicas);
  }

  private static void create(Probe probe, String what, boolean validateOnly, NewTopic... topics) {
    CreateTopicsResult[] result = new CreateTopicsResult[1];
    probe.checkEach(
        "create/" + what,
        () -> {
          CreateTopicsOptions options = new CreateTopicsOptions().validateOnly(validateOnly);
          result[0] = probe.admin.createTopics(List.of(topics), options);
          return result[0].values();
        },
        made -> "made");
    for (NewTopic topic : topics) {
      String name = topic.name();
      probe.check(
          "create/" + what + ", answer for " + name,
          () ->
              Probe.fields(
                  "partitions", Probe.get(result[0].numPartitions(name)),
                  "replicas", Probe.get(result[0].replicationFactor(name)),
                  "topic", Probe.get(result[0].topicId(name)),
                  "configs", configs(Probe.get(result[0].config(name)))));
    }
  }

  static Object configs(Config config) {
    return config.entries().stream()
        .map(
            entry ->
                entry.name() + "=" + entry.value() + " " + entry.source() + " "
                    + (entry.isReadOnly() ? "read-only " : "")
                    + (entry.isSensitive() ? "sensitive" : ""))
        .sorted()
        .toList();
  }

  private static void create(Probe probe) {
    create(probe, "plain", false, topic("plain", 3, 1));
    create(probe, "again", false, topic("plain", 3, 1));
    create(
        probe,
        "defaults",
        false,
        new NewTopic("defaults", Optional.empty(), Optional.empty())
            .configs(Map.of("retention.ms", "1000", "cleanup.policy", "compact,delete")));
    create(probe, "only validated", true, topic("validated", 2, 1));
    create(probe, "bad names", false, topic("a b", 1, 1), topic("", 1, 1), topic("..", 1, 1));
    create(probe, "a name that is too long", false, topic("n".repeat(250), 1, 1));
    create(probe, "names that meet in metrics", false, topic("meets.it", 1, 1));
    create(probe, "names that meet in metrics, second", false, topic("meets_it", 1, 1));
    create(probe, "counts", false, topic("none", 0, 1), topic("less", -5, 1));
    create(probe, "replicas", false, topic("no-replica", 1, 0), topic("too-many", 1, 3));
    create(probe, "too many partitions", false, topic("many", 10_001, 1));
    create(
        probe,
        "bad settings",
        false,
        topic("unknown-key", 1, 1).configs(Map.of("no.such.key", "1")),
        topic("bad-value", 1, 1).configs(Map.of("retention.ms", "soon")),
        topic("out-of-range", 1, 1).configs(Map.of("min.insync.replicas", "0")),
        topic("against-each-other", 1, 1)
            .configs(Map.of("min.compaction.lag.ms", "10", "max.compaction.lag.ms", "5")));
    create(probe, "the metadata log", false, topic("__cluster_metadata", 1, 1));
    create(probe, "an internal name", true, topic("__consumer_offsets", 50, 1));
  }

  private static void createManually(Probe probe) {
    create(
        probe,
        "replicas by hand",
        false,
        new NewTopic("by-hand", Map.of(0, List.of(1), 1, List.of(1))));
    create(
        probe,
        "by hand, wrong",
        false,
        new NewTopic("gap", Map.of(0, List.of(1), 2, List.of(1))),
        new NewTopic("nobody", Map.of(0, List.of(7))),
        new NewTopic("twice", Map.of(0, List.of(1, 1))),
        new NewTopic("empty", Map.of(0, List.of())));
  }

  private static Object view(TopicDescription topic) {
    return Probe.fields(
        "name", topic.name(),
        "topic", topic.topicId(),
        "internal", topic.isInternal(),
        "operations", topic.authorizedOperations(),
        "partitions", topic.partitions().stream().map(TopicCases::view).toList());
  }

  private static Object view(TopicPartitionInfo partition) {
    return Probe.fields(
        "index", partition.partition(),
        "leader", partition.leader(),
        "replicas", partition.replicas(),
        "isr", partition.isr(),
        "elr", partition.elr(),
        "last known elr", partition.lastKnownElr());
  }

  private static void describe(Probe probe) throws Exception {
    List<String> names = List.of("plain", "defaults", "by-hand", "nope", "a b");
    for (boolean isAsked : new boolean[] {false, true}) {
      DescribeTopicsOptions options =
          new DescribeTopicsOptions()
              .includeAuthorizedOperations(isAsked)
              .partitionSizeLimitPerResponse(2);
      probe.checkEach(
          "describe/by name, operations asked " + isAsked,
          () ->
              probe.admin.describeTopics(TopicCollection.ofTopicNames(names), options)
                  .topicNameValues(),
          TopicCases::view);
    }
    Uuid id = idOf(probe, "plain");
    probe.check(
        "describe/by id",
        () -> {
          var futures =
              probe.admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).topicIdValues();
          return view(Probe.get(futures.get(id)));
        });
    probe.checkEach(
        "describe/by an unknown id",
        () ->
            probe.admin
                .describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid())))
                .topicIdValues(),
        TopicCases::view);
    for (boolean isInternalListed : new boolean[] {false, true}) {
      probe.check(
          "list/internal ones " + isInternalListed,
          () -> {
            ListTopicsOptions options = new ListTopicsOptions().listInternal(isInternalListed);
            Collection<TopicListing> found = Probe.get(probe.admin.listTopics(options).listings());
            return found.stream()
                .filter(each -> !each.name().startsWith("__"))
                .map(each -> each.name() + " " + Probe.show(each.topicId()) + each.isInternal())
                .sorted()
                .toList();
          });
    }
  }

  static Uuid idOf(Probe probe, String topic) throws Exception {
    return Probe.get(
            probe.admin.describeTopics(TopicCollection.ofTopicNames(List.of(topic)))
                .topicNameValues()
                .get(topic))
        .topicId();
  }

  private static void grow(Probe probe, String what, boolean validateOnly, String topic, NewPartitions to) {
    probe.checkEach(
        "grow/" + what,
        () ->
            probe.admin
                .createPartitions(
                    Map.of(topic, to), new CreatePartitionsOptions().validateOnly(validateOnly))
                .values(),
        done -> "grown");
  }

  private static void grow(Probe probe) throws Exception {
    grow(probe, "only validated", true, "plain", NewPartitions.increaseTo(4));
    grow(probe, "by two", false, "plain", NewPartitions.increaseTo(5));
    grow(probe, "by hand", false, "by-hand", NewPartitions.increaseTo(3, List.of(List.of(1))));
    grow(probe, "to as many", false, "plain", NewPartitions.increaseTo(5));
    grow(probe, "to fewer", false, "plain", NewPartitions.increaseTo(2));
    grow(probe, "what is not there", false, "nope", NewPartitions.increaseTo(2));
    grow(probe, "too many hands", false, "by-hand", NewPartitions.increaseTo(4, List.of(List.of(1), List.of(1))));
    grow(probe, "unknown hands", false, "by-hand", NewPartitions.increaseTo(4, List.of(List.of(9))));
    grow(probe, "more hands than replicas", false, "by-hand", NewPartitions.increaseTo(4, List.of(List.of(1, 2))));
    // Kafka answers before its brokers know.
    for (int attempt = 0; attempt < 100; attempt++) {
      var found =
          Probe.get(
              probe.admin
                  .describeTopics(TopicCollection.ofTopicNames(List.of("plain", "by-hand")))
                  .allTopicNames());
      int count = found.values().stream().mapToInt(topic -> topic.partitions().size()).sum();
      if (count == 5 + 3) break;
      Thread.sleep(100);
    }
    probe.checkEach(
        "grow/what came of it",
        () ->
            probe.admin.describeTopics(TopicCollection.ofTopicNames(List.of("plain", "by-hand")))
                .topicNameValues(),
        TopicCases::view);
  }

  private static void elect(Probe probe) {
    Set<TopicPartition> some =
        Set.of(
            new TopicPartition("plain", 0),
            new TopicPartition("plain", 77),
            new TopicPartition("nope", 0));
    for (ElectionType type : ElectionType.values()) {
      probe.check(
          "elect/" + type,
          () -> errors(Probe.get(probe.admin.electLeaders(type, some).partitions())));
      probe.check(
          "elect/" + type + " of all",
          () -> errors(Probe.get(probe.admin.electLeaders(type, null).partitions())));
    }
  }

  private static Object errors(Map<TopicPartition, Optional<Throwable>> results) {
    return results.entrySet().stream()
        .map(
            each ->
                each.getKey()
                    + " "
                    + each.getValue().map(error -> error.getClass().getSimpleName()).orElse("elected"))
        .sorted()
        .toList();
  }

  private static void delete(Probe probe) throws Exception {
    Uuid id = idOf(probe, "defaults");
    probe.checkEach(
        "delete/by name",
        () ->
            probe.admin
                .deleteTopics(TopicCollection.ofTopicNames(List.of("meets.it", "nope", "a b")))
                .topicNameValues(),
        done -> "deleted");
    probe.checkEach(
        "delete/by id",
        () ->
            probe.admin
                .deleteTopics(TopicCollection.ofTopicIds(List.of(id)))
                .topicIdValues(),
        done -> "deleted");
    probe.checkEach(
        "delete/by the id of what is gone",
        () ->
            probe.admin
                .deleteTopics(TopicCollection.ofTopicIds(List.of(id)))
                .topicIdValues(),
        done -> "deleted");
    // Kafka deletes in the background.
    for (int attempt = 0; attempt < 100; attempt++) {
      var names = Probe.get(probe.admin.listTopics().names());
      if (!names.contains("defaults") && !names.contains("meets.it")) break;
      Thread.sleep(100);
    }
    probe.checkEach(
        "delete/described afterwards",
        () ->
            probe.admin
                .describeTopics(TopicCollection.ofTopicNames(List.of("defaults", "meets.it")))
                .topicNameValues(),
        TopicCases::view);
  }
}
