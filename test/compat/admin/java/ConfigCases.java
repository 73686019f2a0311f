import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.config.ConfigResource;

/** Settings of topics, brokers and groups. */
final class ConfigCases {
  private static final ConfigResource TOPIC = topic("configured");

  private ConfigCases() {}

  private static ConfigResource topic(String name) {
    return new ConfigResource(ConfigResource.Type.TOPIC, name);
  }

  private static ConfigResource broker(String name) {
    return new ConfigResource(ConfigResource.Type.BROKER, name);
  }

  static void run(Probe probe) throws Exception {
    Probe.get(probe.admin.createTopics(List.of(new NewTopic("configured", 1, (short) 1))).all());
    describe(probe, "topic, new", TOPIC);
    alterTopic(probe);
    describe(probe, "topic, changed", TOPIC);
    describe(probe, "topic that is not there", topic("nope"));
    describe(probe, "topic of no name", topic("a b"));
    describe(probe, "broker", broker("1"));
    describe(probe, "broker that is not there", broker("9"));
    describe(probe, "broker of no number", broker("one"));
    alterBroker(probe);
    describe(probe, "all brokers", broker(""));
    describe(probe, "group", new ConfigResource(ConfigResource.Type.GROUP, "g"));
    describe(probe, "client metrics", new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "m"));
    probe.check(
        "configs/of broker loggers are there",
        () -> {
          var logger = new ConfigResource(ConfigResource.Type.BROKER_LOGGER, "1");
          return Probe.get(probe.admin.describeConfigs(List.of(logger)).values().get(logger))
                  .entries()
                  .size()
              > 0;
        });
    resources(probe);
  }

  private static void describe(Probe probe, String what, ConfigResource resource) {
    Config[] found = new Config[1];
    probe.check(
        "configs/" + what,
        () -> {
          var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
          var result = probe.admin.describeConfigs(List.of(resource), options);
          found[0] = Probe.get(result.values().get(resource));
          return "described";
        });
    if (found[0] == null) return;
    found[0].entries().stream()
        .sorted((a, b) -> a.name().compareTo(b.name()))
        .forEach(entry -> probe.check("configs/" + what + ": " + entry.name(), () -> view(entry)));
  }

  private static Object view(ConfigEntry entry) {
    return Probe.fields(
        "value", entry.value(),
        "source", entry.source(),
        "type", entry.type(),
        "read-only", entry.isReadOnly(),
        "sensitive", entry.isSensitive(),
        "documented", entry.documentation() != null && !entry.documentation().isEmpty(),
        "synonyms",
            entry.synonyms().stream()
                .map(each -> each.name() + "=" + each.value() + " " + each.source())
                .toList());
  }

  private static AlterConfigOp op(AlterConfigOp.OpType type, String key, String value) {
    return new AlterConfigOp(new ConfigEntry(key, value), type);
  }

  private static void alter(
      Probe probe, String what, boolean validateOnly, ConfigResource resource, AlterConfigOp... ops) {
    probe.checkEach(
        "alter configs/" + what,
        () -> {
          Map<ConfigResource, Collection<AlterConfigOp>> changes = Map.of(resource, List.of(ops));
          var options = new AlterConfigsOptions().validateOnly(validateOnly);
          return probe.admin.incrementalAlterConfigs(changes, options).values();
        },
        done -> "altered");
  }

  private static void alterTopic(Probe probe) {
    var set = AlterConfigOp.OpType.SET;
    var remove = AlterConfigOp.OpType.DELETE;
    var append = AlterConfigOp.OpType.APPEND;
    var subtract = AlterConfigOp.OpType.SUBTRACT;
    alter(probe, "only validated", true, TOPIC, op(set, "retention.ms", "7"));
    alter(probe, "set", false, TOPIC, op(set, "retention.ms", "60000"), op(set, "flush.messages", "3"));
    alter(probe, "append", false, TOPIC, op(append, "cleanup.policy", "compact"));
    alter(probe, "subtract", false, TOPIC, op(subtract, "cleanup.policy", "delete"));
    alter(probe, "delete", false, TOPIC, op(remove, "flush.messages", ""));
    alter(probe, "delete what is not set", false, TOPIC, op(remove, "max.message.bytes", ""));
    alter(probe, "an unknown key", false, TOPIC, op(set, "no.such.key", "1"));
    alter(probe, "a bad value", false, TOPIC, op(set, "retention.ms", "soon"));
    alter(probe, "append to no list", false, TOPIC, op(append, "retention.ms", "1"));
    alter(probe, "one key twice", false, TOPIC, op(set, "retention.ms", "1"), op(remove, "retention.ms", ""));
    alter(probe, "a topic that is not there", false, topic("nope"), op(set, "retention.ms", "1"));
    alter(probe, "nothing", false, TOPIC);
  }

  private static void alterBroker(Probe probe) {
    var set = AlterConfigOp.OpType.SET;
    var remove = AlterConfigOp.OpType.DELETE;
    alter(probe, "broker", false, broker("1"), op(set, "log.cleaner.threads", "1"));
    alter(probe, "all brokers", false, broker(""), op(set, "log.retention.ms", "86400000"));
    alter(probe, "broker, read-only", false, broker("1"), op(set, "node.id", "3"));
    alter(probe, "broker, a bad value", false, broker("1"), op(set, "log.retention.ms", "x"));
    alter(probe, "broker that is not there", false, broker("9"), op(set, "log.retention.ms", "1"));
    probe.check(
        "alter configs/a topic sees its broker's",
        () -> {
          var result = probe.admin.describeConfigs(List.of(topic("plain")));
          var entry = Probe.get(result.values().get(topic("plain"))).get("retention.ms");
          return entry.value() + " " + entry.source();
        });
    alter(probe, "all brokers, back", false, broker(""), op(remove, "log.retention.ms", ""));
    alter(probe, "broker, back", false, broker("1"), op(remove, "log.cleaner.threads", ""));
  }

  private static void resources(Probe probe) {
    probe.check(
        "resources/all",
        () -> {
          var found =
              Probe.get(
                  probe.admin
                      .listConfigResources(Set.of(), new org.apache.kafka.clients.admin.ListConfigResourcesOptions())
                      .all());
          return found.stream().map(each -> each.type() + " " + each.name())
              .filter(each -> !each.contains("__")).sorted().toList();
        });
    for (ConfigResource.Type type :
        List.of(ConfigResource.Type.BROKER, ConfigResource.Type.CLIENT_METRICS, ConfigResource.Type.GROUP)) {
      probe.check(
          "resources/" + type,
          () -> {
            var options = new org.apache.kafka.clients.admin.ListConfigResourcesOptions();
            var found = Probe.get(probe.admin.listConfigResources(Set.of(type), options).all());
            return new ArrayList<>(found).stream().map(ConfigResource::name).sorted().toList();
          });
    }
    listClientMetrics(probe);
  }

  @SuppressWarnings("removal")
  private static void listClientMetrics(Probe probe) {
    probe.check(
        "resources/client metrics, the old way",
        () -> Probe.get(probe.admin.listClientMetricsResources().all()).size());
  }
}
