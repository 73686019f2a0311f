import { execFileSync } from "node:child_process";

/** The suites below start `bin/broker` as users do, so they test the build of these very sources. */
export function setup(): void {
  execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit" });
}
