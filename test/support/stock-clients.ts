import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { archiveKafkaClasses } from "./java.ts";

/** Installs the clients that are driven: Kafka's Java tools, confluent-kafka, kcat. Idempotent. */
export async function setup(): Promise<void> {
  const script = fileURLToPath(new URL("../peers/kafka/setup.sh", import.meta.url));
  execFileSync("bash", [script], { stdio: ["ignore", "ignore", "inherit"] });
  await archiveKafkaClasses();
}
