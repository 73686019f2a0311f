/**
 * Calls every method of Kafka's AdminClient that a single node can serve. Arguments: the broker's address and
 * its log directories.
 */
public final class AdminProbe {
  private AdminProbe() {}

  public static void main(String[] arguments) throws Exception {
    java.util.List<String> logDirs = java.util.Arrays.asList(arguments).subList(1, arguments.length);
    try (Probe probe = new Probe(arguments[0])) {
      ClusterCases.run(probe);
      TopicCases.run(probe);
      RecordCases.run(probe);
      LogDirCases.run(probe, logDirs);
      ConfigCases.run(probe);
      GroupCases.run(probe);
      OtherCases.run(probe);
      for (String method : probe.uncalled()) System.out.println("uncalled\t" + method);
    }
    // Consumers that a case has left behind must not keep us.
    System.exit(0);
  }
}
