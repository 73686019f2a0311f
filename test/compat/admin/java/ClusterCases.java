import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeFeaturesOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;

/** The cluster, its features, its quorum. */
final class ClusterCases {
  private static final String ELR = "eligible.leader.replicas.version";

  private ClusterCases() {}

  static void run(Probe probe) {
    cluster(probe);
    features(probe);
    quorum(probe);
  }

  private static void cluster(Probe probe) {
    probe.check("cluster/nodes", () -> Probe.get(probe.admin.describeCluster().nodes()));
    probe.check("cluster/controller", () -> Probe.get(probe.admin.describeCluster().controller()));
    probe.check(
        "cluster/id is text",
        () -> Probe.get(probe.admin.describeCluster().clusterId()).length() > 0);
    for (boolean isAsked : new boolean[] {false, true}) {
      probe.check(
          "cluster/operations asked " + isAsked,
          () -> {
            DescribeClusterOptions options =
                new DescribeClusterOptions().includeAuthorizedOperations(isAsked);
            return Probe.get(probe.admin.describeCluster(options).authorizedOperations());
          });
    }
    probe.check(
        "cluster/fenced brokers",
        () -> {
          DescribeClusterOptions options = new DescribeClusterOptions().includeFencedBrokers(true);
          return Probe.get(probe.admin.describeCluster(options).nodes());
        });
  }

  private static void features(Probe probe) {
    FeatureMetadata[] found = new FeatureMetadata[1];
    probe.check(
        "features/are there",
        () -> {
          found[0] = Probe.get(probe.admin.describeFeatures().featureMetadata());
          return found[0].finalizedFeaturesEpoch().isPresent();
        });
    if (found[0] == null) return;
    new TreeMap<>(found[0].finalizedFeatures())
        .forEach(
            (name, range) ->
                probe.check(
                    "features/finalized " + name,
                    () -> range.minVersionLevel() + " to " + range.maxVersionLevel()));
    new TreeMap<>(found[0].supportedFeatures())
        .forEach(
            (name, range) ->
                probe.check(
                    "features/supported " + name,
                    () -> range.minVersion() + " to " + range.maxVersion()));
    probe.check(
        "features/of one node",
        () -> {
          DescribeFeaturesOptions options = new DescribeFeaturesOptions().nodeId(1);
          return Probe.get(probe.admin.describeFeatures(options).featureMetadata())
              .finalizedFeatures()
              .containsKey("metadata.version");
        });
    update(probe, "only validated", ELR, 0, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE, true);
    update(probe, "downgrade without saying so", ELR, 0, FeatureUpdate.UpgradeType.UPGRADE, false);
    update(probe, "a level that nobody has", ELR, 9, FeatureUpdate.UpgradeType.UPGRADE, false);
    update(probe, "a name that nobody has", "nope", 1, FeatureUpdate.UpgradeType.UPGRADE, false);
    update(probe, "the level that it has", ELR, 1, FeatureUpdate.UpgradeType.UPGRADE, false);
    update(probe, "off", ELR, 0, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE, false);
    probe.check("features/after off", () -> levelOf(probe, ELR));
    update(probe, "on by a downgrade", ELR, 1, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE, false);
    update(probe, "on again", ELR, 1, FeatureUpdate.UpgradeType.UPGRADE, false);
    probe.check("features/after on again", () -> levelOf(probe, ELR));
  }

  private static Object levelOf(Probe probe, String feature) throws Exception {
    FeatureMetadata found = Probe.get(probe.admin.describeFeatures().featureMetadata());
    var range = found.finalizedFeatures().get(feature);
    return range == null ? "none" : range.maxVersionLevel();
  }

  private static void update(
      Probe probe,
      String what,
      String feature,
      int level,
      FeatureUpdate.UpgradeType type,
      boolean validateOnly) {
    probe.check(
        "features/update, " + what,
        () -> {
          Map<String, FeatureUpdate> updates =
              Map.of(feature, new FeatureUpdate((short) level, type));
          UpdateFeaturesOptions options = new UpdateFeaturesOptions().validateOnly(validateOnly);
          return Probe.get(probe.admin.updateFeatures(updates, options).all());
        });
  }

  private static void quorum(Probe probe) {
    probe.check(
        "quorum/leader and voters",
        () -> {
          QuorumInfo info = Probe.get(probe.admin.describeMetadataQuorum().quorumInfo());
          var voter = info.voters().get(0);
          return Probe.fields(
              "leader", info.leaderId(),
              "voters", info.voters().stream().map(QuorumInfo.ReplicaState::replicaId).toList(),
              "observers", info.observers().size(),
              "nodes", info.nodes().keySet(),
              "has epoch", info.leaderEpoch() > 0,
              "has high watermark", info.highWatermark() > 0,
              "voter is at the end", voter.logEndOffset() >= info.highWatermark(),
              "has times",
                  Set.of(
                      voter.lastCaughtUpTimestamp().isPresent(),
                      voter.lastFetchTimestamp().isPresent()));
        });
  }
}
