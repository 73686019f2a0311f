import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;

/** Log directories, and a replica that moves from one to the other. */
final class LogDirCases {
  private static final TopicPartition MOVED = new TopicPartition("moved", 0);
  private static final TopicPartitionReplica REPLICA = new TopicPartitionReplica("moved", 0, 1);

  private LogDirCases() {}

  static void run(Probe probe, List<String> logDirs) throws Exception {
    Probe.get(probe.admin.createTopics(List.of(RecordCases.keptTopic("moved", 1))).all());
    RecordCases.fill(probe, MOVED, 0, 10, 20);
    probe.check(
        "log dirs/all of them",
        () -> logDirs.stream().allMatch(directories(probe)::containsKey) + " " + directories(probe).size());
    probe.check(
        "log dirs/sizes",
        () -> {
          TreeMap<String, Object> sizes = new TreeMap<>();
          directories(probe)
              .values()
              .forEach(
                  directory ->
                      directory
                          .replicaInfos()
                          .forEach(
                              (partition, info) -> {
                                if (partition.topic().startsWith("__")) return;
                                sizes.put(
                                    partition.toString(),
                                    Probe.fields(
                                        "size", info.size(),
                                        "lag", info.offsetLag(),
                                        "future", info.isFuture()));
                              }));
          return sizes;
        });
    probe.check(
        "log dirs/room",
        () -> {
          TreeSet<Object> told = new TreeSet<>();
          for (LogDirDescription each : directories(probe).values()) {
            told.add(
                Probe.fields(
                    "error", each.error(),
                    "total", each.totalBytes().orElse(-1) > each.usableBytes().orElse(-1),
                    "usable", each.usableBytes().orElse(-1) > 0,
                    "cordoned", each.isCordoned()));
          }
          return told;
        });
    probe.check(
        "log dirs/of one replica",
        () -> {
          var info = Probe.get(probe.admin.describeReplicaLogDirs(Set.of(REPLICA)).values().get(REPLICA));
          return Probe.fields(
              "in one of them", logDirs.contains(info.getCurrentReplicaLogDir()),
              "lag", info.getCurrentReplicaOffsetLag(),
              "future", info.getFutureReplicaLogDir());
        });
    move(probe, logDirs);
  }

  private static Map<String, LogDirDescription> directories(Probe probe) throws Exception {
    return Probe.get(probe.admin.describeLogDirs(List.of(1)).descriptions().get(1));
  }

  private static void alter(Probe probe, String what, TopicPartitionReplica replica, String directory) {
    probe.checkEach(
        "move/" + what,
        () -> probe.admin.alterReplicaLogDirs(Map.of(replica, directory)).values(),
        done -> "accepted");
  }

  private static void move(Probe probe, List<String> logDirs) throws Exception {
    alter(probe, "to no log directory", REPLICA, "/nowhere");
    alter(probe, "of nothing", new TopicPartitionReplica("nope", 0, 1), logDirs.get(0));
    String here = placeOf(probe);
    String there = logDirs.get(0).equals(here) ? logDirs.get(1) : logDirs.get(0);
    alter(probe, "to where it is", REPLICA, here);
    alter(probe, "to the other", REPLICA, there);
    probe.check(
        "move/arrives",
        () -> {
          for (int attempt = 0; attempt < 300; attempt++) {
            if (placeOf(probe).equals(there)) return "there";
            Thread.sleep(100);
          }
          return "not there";
        });
    probe.check(
        "move/end offset afterwards",
        () ->
            Probe.get(
                    probe.admin
                        .listOffsets(Map.of(MOVED, org.apache.kafka.clients.admin.OffsetSpec.latest()))
                        .partitionResult(MOVED))
                .offset());
    probe.check(
        "move/it takes records afterwards",
        () -> {
          RecordCases.fill(probe, MOVED, 30);
          return "taken";
        });
  }

  private static String placeOf(Probe probe) throws Exception {
    return Probe.get(probe.admin.describeReplicaLogDirs(Set.of(REPLICA)).values().get(REPLICA))
        .getCurrentReplicaLogDir();
  }
}
