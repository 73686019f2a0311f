import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Installs the clients that only the compat suite drives: aiokafka and, built, franz-go. Idempotent. */
export function setup(): void {
  const script = fileURLToPath(new URL("../compat/install.sh", import.meta.url));
  execFileSync("bash", [script], { stdio: ["ignore", "ignore", "inherit"] });
}
