import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DescribeConsumerGroupsOptions;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Groups of the classic protocol, with members and without. */
final class GroupCases {
  private static final TopicPartition FIRST = new TopicPartition("grouped", 0);
  private static final TopicPartition SECOND = new TopicPartition("grouped", 1);

  private GroupCases() {}

  static void run(Probe probe) throws Exception {
    Probe.get(probe.admin.createTopics(List.of(RecordCases.keptTopic("grouped", 2))).all());
    RecordCases.fill(probe, FIRST, 0, 1, 2);
    offsets(probe);
    try (KafkaConsumer<byte[], byte[]> consumer = consumer(probe, "members", "static-1")) {
      consumer.subscribe(List.of("grouped"));
      for (int i = 0; i < 300 && consumer.assignment().size() < 2; i++) {
        consumer.poll(Duration.ofMillis(100));
      }
      probe.check("groups/the member got", consumer::assignment);
      consumer.commitSync(Map.of(FIRST, new OffsetAndMetadata(2, "two")));
      withMember(probe);
    }
    list(probe, "in the end");
    delete(probe);
  }

  private static KafkaConsumer<byte[], byte[]> consumer(Probe probe, String group, String instance) {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", probe.bootstrap);
    settings.put("group.id", group);
    settings.put("group.instance.id", instance);
    settings.put("client.id", "probe-" + instance);
    settings.put("group.protocol", "classic");
    settings.put("auto.offset.reset", "earliest");
    settings.put("enable.auto.commit", "false");
    return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static void offsets(Probe probe) {
    probe.check(
        "groups/set offsets from outside",
        () -> {
          Map<TopicPartition, OffsetAndMetadata> offsets =
              Map.of(FIRST, new OffsetAndMetadata(1, "one"), SECOND, new OffsetAndMetadata(0));
          return Probe.get(probe.admin.alterConsumerGroupOffsets("outside", offsets).all());
        });
    probe.check(
        "groups/set an offset of a topic that is not there",
        () ->
            Probe.get(
                probe.admin
                    .alterConsumerGroupOffsets(
                        "outside", Map.of(new TopicPartition("nope", 0), new OffsetAndMetadata(1)))
                    .all()));
    offsets(probe, "all of it", "outside", null);
    offsets(probe, "of one partition and one without", "outside", List.of(SECOND, new TopicPartition("plain", 0)));
    offsets(probe, "of a group that is not there", "nope", null);
    offsets(probe, "of a group that is not there, by partition", "nope", List.of(FIRST));
    probe.checkEach(
        "groups/take an offset away",
        () -> {
          var result = probe.admin.deleteConsumerGroupOffsets("outside", Set.of(SECOND));
          return Map.of(SECOND.toString(), result.partitionResult(SECOND));
        },
        done -> "deleted");
    probe.checkEach(
        "groups/take an offset of an unknown topic away",
        () -> {
          TopicPartition nope = new TopicPartition("nope", 0);
          var result = probe.admin.deleteConsumerGroupOffsets("outside", Set.of(nope));
          return Map.of(nope.toString(), result.partitionResult(nope));
        },
        done -> "deleted");
    probe.check(
        "groups/take an offset of an unknown group away",
        () -> Probe.get(probe.admin.deleteConsumerGroupOffsets("nope", Set.of(FIRST)).all()));
    offsets(probe, "what is left", "outside", null);
    describe(probe, "without members", "outside");
    describe(probe, "that is not there", "nope");
  }

  private static void offsets(Probe probe, String what, String group, List<TopicPartition> partitions) {
    for (boolean isStable : new boolean[] {false, true}) {
      probe.check(
          "groups/offsets, " + what + ", stable " + isStable,
          () -> {
            var spec = new ListConsumerGroupOffsetsSpec();
            if (partitions != null) spec.topicPartitions(partitions);
            var options = new ListConsumerGroupOffsetsOptions().requireStable(isStable);
            var found =
                Probe.get(
                    probe.admin
                        .listConsumerGroupOffsets(Map.of(group, spec), options)
                        .partitionsToOffsetAndMetadata(group));
            return found.entrySet().stream()
                .map(
                    each ->
                        each.getKey()
                            + " "
                            + (each.getValue() == null
                                ? "none"
                                : each.getValue().offset()
                                    + " '"
                                    + each.getValue().metadata()
                                    + "' "
                                    + each.getValue().leaderEpoch()))
                .sorted()
                .toList();
          });
    }
  }

  private static void describe(Probe probe, String what, String group) {
    for (boolean isAsked : new boolean[] {false, true}) {
      probe.check(
          "groups/describe one " + what + ", operations asked " + isAsked,
          () -> {
            var options = new DescribeConsumerGroupsOptions().includeAuthorizedOperations(isAsked);
            return view(
                Probe.get(
                    probe.admin
                        .describeConsumerGroups(List.of(group), options)
                        .describedGroups()
                        .get(group)));
          });
    }
    probe.check(
        "groups/describe one " + what + ", as a classic one",
        () -> {
          var found =
              Probe.get(
                  probe.admin.describeClassicGroups(List.of(group)).describedGroups().get(group));
          return Probe.fields(
              "state", found.state(),
              "protocol", found.protocol(),
              "data", found.protocolData(),
              "simple", found.isSimpleConsumerGroup(),
              "members", found.members().stream().map(GroupCases::view).toList());
        });
  }

  private static Object view(ConsumerGroupDescription group) {
    return Probe.fields(
        "id", group.groupId(),
        "simple", group.isSimpleConsumerGroup(),
        "assignor", group.partitionAssignor(),
        "type", group.type(),
        "state", group.groupState(),
        "coordinator", group.coordinator(),
        "operations", group.authorizedOperations(),
        "epochs", group.groupEpoch() + " " + group.targetAssignmentEpoch(),
        "members", group.members().stream().map(GroupCases::view).toList());
  }

  private static Object view(MemberDescription member) {
    return Probe.fields(
        "has id", !member.consumerId().isEmpty(),
        "instance", member.groupInstanceId(),
        "client", member.clientId(),
        "host", member.host(),
        "assignment", member.assignment().topicPartitions(),
        "target", member.targetAssignment(),
        "epoch", member.memberEpoch(),
        "upgraded", member.upgraded());
  }

  private static void list(Probe probe, String when) {
    Map<String, ListGroupsOptions> filters =
        Map.of(
            "all", new ListGroupsOptions(),
            "stable", new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)),
            "empty", new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)),
            "classic", new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC)),
            "new", new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER)),
            "of consumers", ListGroupsOptions.forConsumerGroups(),
            "of another protocol", new ListGroupsOptions().withProtocolTypes(Set.of("connect")));
    filters.entrySet().stream()
        .sorted(Map.Entry.comparingByKey())
        .forEach(
            filter ->
                probe.check(
                    "groups/list " + when + ", " + filter.getKey(),
                    () ->
                        Probe.get(probe.admin.listGroups(filter.getValue()).all()).stream()
                            .map(GroupCases::view)
                            .sorted()
                            .toList()));
    listTheOldWay(probe, when);
  }

  @SuppressWarnings("removal")
  private static void listTheOldWay(Probe probe, String when) {
    probe.check(
        "groups/list " + when + ", the old way",
        () ->
            Probe.get(probe.admin.listConsumerGroups().all()).stream()
                .map(each -> each.groupId() + " " + each.groupState().map(Object::toString).orElse("none"))
                .sorted()
                .toList());
  }

  private static String view(GroupListing group) {
    return Probe.fields(
        "id", group.groupId(),
        "type", group.type(),
        "protocol", group.protocol(),
        "state", group.groupState());
  }

  private static void withMember(Probe probe) {
    describe(probe, "with a member", "members");
    list(probe, "with a member");
    offsets(probe, "of a group with a member", "members", null);
    probe.check(
        "groups/set an offset while there is a member",
        () ->
            Probe.get(
                probe.admin
                    .alterConsumerGroupOffsets("members", Map.of(FIRST, new OffsetAndMetadata(0)))
                    .all()));
    probe.check(
        "groups/take an offset away that a member is subscribed to",
        () -> Probe.get(probe.admin.deleteConsumerGroupOffsets("members", Set.of(FIRST)).partitionResult(FIRST)));
    probe.checkEach(
        "groups/delete one that has a member",
        () -> probe.admin.deleteConsumerGroups(List.of("members")).deletedGroups(),
        done -> "deleted");
    probe.check(
        "groups/remove a member that is not there",
        () -> {
          var member = new MemberToRemove("static-9");
          var options = new RemoveMembersFromConsumerGroupOptions(Set.of(member));
          return Probe.get(
              probe.admin.removeMembersFromConsumerGroup("members", options).memberResult(member));
        });
    probe.check(
        "groups/remove a member",
        () -> {
          var member = new MemberToRemove("static-1");
          var options = new RemoveMembersFromConsumerGroupOptions(Set.of(member));
          return Probe.get(
              probe.admin.removeMembersFromConsumerGroup("members", options).memberResult(member));
        });
    probe.check(
        "groups/remove all of a group without members",
        () ->
            Probe.get(
                probe.admin
                    .removeMembersFromConsumerGroup("outside", new RemoveMembersFromConsumerGroupOptions())
                    .all()));
    describe(probe, "whose member was removed", "members");
  }

  private static void delete(Probe probe) {
    probe.checkEach(
        "groups/delete",
        () -> probe.admin.deleteConsumerGroups(List.of("members", "outside", "nope")).deletedGroups(),
        done -> "deleted");
    list(probe, "after the deletion");
  }
}
