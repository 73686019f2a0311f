import { execFileSync } from "node:child_process";

/**
 * The suites below start `bin/broker` as users do, so they test the build of these very sources. CI has built
 * them once, and runs suites beside each other: nobody may build under another's brokers.
 */
export function setup(): void {
  if (process.env["HOLDFAST_BUILT"] === "1") return;
  execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit" });
}
