import { defineConfig } from "vitest/config";

/** Where CI wants the counts. */
const report = process.env["HOLDFAST_TEST_REPORT"];

const BUILD = "test/support/build.ts";

/**
 * `unit` and `golden` need only Node; `integration` starts the built broker as a process; `kill` and
 * `compat` install the stock clients that they drive (test/peers/kafka/setup.sh).
 */
export default defineConfig({
  test: {
    pool: "forks",
    ...(report === undefined
      ? {}
      : { reporters: ["default", "json"], outputFile: { json: report } }),
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [
            "test/protocol/golden/**",
            "test/{integration,kill,compat,faults,hostile,quorum}/**",
          ],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: "golden",
          include: ["test/protocol/golden/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "integration",
          include: ["test/integration/**/*.test.ts"],
          globalSetup: [BUILD],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "faults",
          include: ["test/faults/**/*.test.ts"],
          globalSetup: [BUILD],
          testTimeout: 120_000,
          hookTimeout: 900_000,
        },
      },
      {
        test: {
          name: "hostile",
          include: ["test/hostile/**/*.test.ts"],
          globalSetup: [BUILD],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "kill",
          include: ["test/kill/**/*.test.ts"],
          globalSetup: [BUILD, "test/support/stock-clients.ts"],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "quorum",
          include: ["test/quorum/**/*.test.ts"],
          globalSetup: [BUILD],
          testTimeout: 900_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "compat",
          include: ["test/compat/**/*.test.ts"],
          globalSetup: [BUILD, "test/support/stock-clients.ts", "test/support/compat-clients.ts"],
          testTimeout: 600_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
