import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.ListStreamsGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.RaftVoterEndpoint;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialDeletion;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** What is about other nodes, users, transactions and the other kinds of groups. */
final class OtherCases {
  private static final TopicPartition PLAIN = new TopicPartition("plain", 0);

  private OtherCases() {}

  static void run(Probe probe) {
    reassignments(probe);
    nodes(probe);
    acls(probe);
    quotas(probe);
    scram(probe);
    tokens(probe);
    transactions(probe);
    shareGroups(probe);
    streamsGroups(probe);
    probe.check(
        "telemetry/id of this client",
        () -> probe.admin.clientInstanceId(Duration.ofSeconds(5)));
  }

  private static void reassignments(Probe probe) {
    probe.check(
        "reassignments/none are under way",
        () -> Probe.get(probe.admin.listPartitionReassignments().reassignments()));
    probe.check(
        "reassignments/to where it is",
        () -> {
          var there = Optional.of(new NewPartitionReassignment(List.of(1)));
          return Probe.get(probe.admin.alterPartitionReassignments(Map.of(PLAIN, there)).all());
        });
    probe.check(
        "reassignments/to nobody",
        () -> {
          var there = Optional.of(new NewPartitionReassignment(List.of(9)));
          return Probe.get(probe.admin.alterPartitionReassignments(Map.of(PLAIN, there)).all());
        });
  }

  private static void nodes(Probe probe) {
    probe.check(
        "nodes/unregister one that is not there",
        () -> Probe.get(probe.admin.unregisterBroker(9).all()));
    probe.check(
        "nodes/add a voter",
        () ->
            Probe.get(
                probe.admin
                    .addRaftVoter(
                        9, Uuid.randomUuid(), Set.of(new RaftVoterEndpoint("CONTROLLER", "localhost", 1)))
                    .all()));
    probe.check(
        "nodes/remove a voter",
        () -> Probe.get(probe.admin.removeRaftVoter(9, Uuid.randomUuid()).all()));
  }

  private static void acls(Probe probe) {
    AclBinding binding =
        new AclBinding(
            new ResourcePattern(ResourceType.TOPIC, "plain", PatternType.LITERAL),
            new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW));
    probe.check("acls/describe", () -> Probe.get(probe.admin.describeAcls(AclBindingFilter.ANY).values()));
    probe.check("acls/create", () -> Probe.get(probe.admin.createAcls(List.of(binding)).all()));
    probe.check(
        "acls/delete", () -> Probe.get(probe.admin.deleteAcls(List.of(binding.toFilter())).all()));
  }

  private static void quotas(Probe probe) {
    probe.check(
        "quotas/describe",
        () -> Probe.get(probe.admin.describeClientQuotas(ClientQuotaFilter.all()).entities()).size());
    probe.check(
        "quotas/alter",
        () -> {
          var entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, "c"));
          var op = new ClientQuotaAlteration.Op("producer_byte_rate", 1e6);
          return Probe.get(
              probe.admin
                  .alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(op))))
                  .all());
        });
  }

  private static void scram(Probe probe) {
    probe.check("scram/describe", () -> Probe.get(probe.admin.describeUserScramCredentials().all()).size());
    probe.check(
        "scram/alter",
        () -> {
          var info = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096);
          var added = new UserScramCredentialUpsertion("u", info, "secret");
          return Probe.get(probe.admin.alterUserScramCredentials(List.of(added)).all());
        });
    probe.check(
        "scram/delete",
        () -> {
          var gone = new UserScramCredentialDeletion("u", ScramMechanism.SCRAM_SHA_256);
          return Probe.get(probe.admin.alterUserScramCredentials(List.of(gone)).all());
        });
  }

  private static void tokens(Probe probe) {
    probe.check("tokens/create", () -> Probe.get(probe.admin.createDelegationToken().delegationToken()) != null);
    probe.check("tokens/renew", () -> Probe.get(probe.admin.renewDelegationToken(new byte[1]).expiryTimestamp()));
    probe.check("tokens/expire", () -> Probe.get(probe.admin.expireDelegationToken(new byte[1]).expiryTimestamp()));
    probe.check("tokens/describe", () -> Probe.get(probe.admin.describeDelegationToken().delegationTokens()));
  }

  private static void transactions(Probe probe) {
    probe.check("transactions/list", () -> Probe.get(probe.admin.listTransactions().all()).size());
    probe.check(
        "transactions/describe",
        () -> Probe.get(probe.admin.describeTransactions(List.of("t")).description("t")));
    probe.check(
        "transactions/abort",
        () ->
            Probe.get(
                probe.admin.abortTransaction(new AbortTransactionSpec(PLAIN, 1, (short) 1, 1)).all()));
    probe.check("transactions/fence", () -> Probe.get(probe.admin.fenceProducers(List.of("t")).all()));
    probe.check(
        "transactions/end by force", () -> Probe.get(probe.admin.forceTerminateTransaction("t").result()));
  }

  private static void shareGroups(Probe probe) {
    List<String> none = List.of("nope");
    probe.check("share groups/describe", () -> Probe.get(probe.admin.describeShareGroups(none).all()));
    probe.check(
        "share groups/offsets",
        () ->
            Probe.get(
                probe.admin.listShareGroupOffsets(Map.of("nope", new ListShareGroupOffsetsSpec())).all()));
    probe.check(
        "share groups/set offsets",
        () -> Probe.get(probe.admin.alterShareGroupOffsets("nope", Map.of(PLAIN, 1L)).all()));
    probe.check(
        "share groups/take offsets away",
        () -> Probe.get(probe.admin.deleteShareGroupOffsets("nope", Set.of("plain")).all()));
    probe.check("share groups/delete", () -> Probe.get(probe.admin.deleteShareGroups(none).all()));
  }

  private static void streamsGroups(Probe probe) {
    List<String> none = List.of("nope");
    probe.check("streams groups/describe", () -> Probe.get(probe.admin.describeStreamsGroups(none).all()));
    probe.check(
        "streams groups/offsets",
        () ->
            Probe.get(
                probe.admin
                    .listStreamsGroupOffsets(Map.of("nope", new ListStreamsGroupOffsetsSpec()))
                    .all()));
    probe.check(
        "streams groups/set offsets",
        () ->
            Probe.get(
                probe.admin
                    .alterStreamsGroupOffsets("nope-streams", Map.of(PLAIN, new OffsetAndMetadata(1)))
                    .all()));
    probe.check(
        "streams groups/take offsets away",
        () -> Probe.get(probe.admin.deleteStreamsGroupOffsets("nope", Set.of(PLAIN)).all()));
    probe.check("streams groups/delete", () -> Probe.get(probe.admin.deleteStreamsGroups(none).all()));
  }
}
