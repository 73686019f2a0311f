import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect } from "vitest";
import { type BrokerOptions, BrokerProcess } from "./broker-process.ts";
import { endProcessesIn } from "./child-processes.ts";

export interface SharedBroker {
  readonly bootstrap: string;
  readonly port: number;
  readonly pid: number;
  readonly logDirectories: readonly string[];
  /** A folder for the tests' own files; it goes with the broker. */
  readonly folder: string;
  /** All that it printed so far. */
  readonly output: string;
}

/** A broker with two log directories for all tests of the file; it has to end in order after them. */
export function sharedBroker(overrides: BrokerOptions["overrides"] = {}): SharedBroker {
  let folder: string;
  let broker: BrokerProcess;
  const logDirectories = () => [join(folder, "a"), join(folder, "b")];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "holdfast-"));
    broker = await BrokerProcess.start({ dataDirectory: logDirectories().join(","), overrides });
  });

  afterAll(async () => {
    expect(await broker.stop()).toBe(0);
    await endProcessesIn(folder);
    await rm(folder, { recursive: true, force: true });
  });

  return {
    get bootstrap() {
      return broker.bootstrap;
    },
    get port() {
      return broker.port;
    },
    get pid() {
      return broker.pid;
    },
    get logDirectories() {
      return logDirectories();
    },
    get folder() {
      return folder;
    },
    get output() {
      return broker.output;
    },
  };
}
