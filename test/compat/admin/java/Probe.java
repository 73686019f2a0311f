import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.Uuid;

/**
 * Calls a broker's admin methods and prints what came of each, one line a case, in a form that is the
 * same for two brokers that answer the same: no ids that are drawn, no addresses, no times.
 */
final class Probe implements AutoCloseable {
  private static final long TIMEOUT_SECONDS = 40;

  final String bootstrap;
  final Admin admin;
  private final Admin client;
  private final TreeSet<String> called = new TreeSet<>();

  Probe(String bootstrap) {
    this.bootstrap = bootstrap;
    Properties settings = new Properties();
    settings.put("bootstrap.servers", bootstrap);
    settings.put("default.api.timeout.ms", "30000");
    client = Admin.create(settings);
    admin =
        (Admin)
            Proxy.newProxyInstance(
                Admin.class.getClassLoader(),
                new Class<?>[] {Admin.class},
                (proxy, method, arguments) -> {
                  called.add(method.getName());
                  try {
                    return method.invoke(client, arguments);
                  } catch (InvocationTargetException error) {
                    throw error.getCause();
                  }
                });
  }

  /** The methods of Admin that no case has called. */
  List<String> uncalled() {
    TreeSet<String> names = new TreeSet<>();
    for (var method : Admin.class.getMethods()) names.add(method.getName());
    names.removeAll(called);
    return new ArrayList<>(names);
  }

  /** One case: what the call gives, or the error that it ends with. */
  void check(String name, Callable<Object> call) {
    System.out.println(name + "\t" + outcome(call));
    System.out.flush();
  }

  /** One line for each key. */
  <K, V> void checkEach(
      String name, Callable<Map<K, KafkaFuture<V>>> call, Function<V, Object> view) {
    Map<K, KafkaFuture<V>> futures;
    try {
      futures = call.call();
    } catch (Exception error) {
      check(name, () -> { throw error; });
      return;
    }
    TreeMap<String, KafkaFuture<V>> sorted = new TreeMap<>();
    futures.forEach((key, future) -> sorted.put(show(key), future));
    sorted.forEach((key, future) -> check(name + ": " + key, () -> view.apply(get(future))));
  }

  static <T> T get(KafkaFuture<T> future) throws Exception {
    return future.get(TIMEOUT_SECONDS, TimeUnit.SECONDS);
  }

  static String outcome(Callable<Object> call) {
    try {
      return show(call.call());
    } catch (ExecutionException error) {
      return "! " + error.getCause().getClass().getSimpleName();
    } catch (Exception error) {
      return "! " + error.getClass().getSimpleName();
    }
  }

  /** Text without what differs from broker to broker; maps and sets in order. */
  static String show(Object value) {
    if (value == null) return "null";
    if (value instanceof Map<?, ?> map) {
      TreeMap<String, String> sorted = new TreeMap<>();
      map.forEach((key, entry) -> sorted.put(show(key), show(entry)));
      return sorted.toString();
    }
    if (value instanceof List<?> list) {
      List<String> shown = new ArrayList<>();
      for (Object entry : list) shown.add(show(entry));
      return shown.toString();
    }
    if (value instanceof Collection<?> collection) {
      TreeSet<String> shown = new TreeSet<>();
      for (Object entry : collection) shown.add(show(entry));
      return shown.toString();
    }
    if (value instanceof Optional<?> optional) return optional.map(Probe::show).orElse("none");
    if (value instanceof Node node) return node.isEmpty() ? "nobody" : "node " + node.id();
    if (value instanceof Uuid id) return id.equals(Uuid.ZERO_UUID) ? "no id" : "an id";
    return value.toString().replace("\n", " ").replace("\t", " ");
  }

  /** Fields in the given order: name, value, name, value, ... */
  static String fields(Object... namesAndValues) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < namesAndValues.length; i += 2) {
      if (i > 0) text.append(", ");
      text.append(namesAndValues[i]).append(' ').append(show(namesAndValues[i + 1]));
    }
    return text.toString();
  }

  @Override
  public void close() {
    client.close();
  }
}
