import { expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";
import { runPython } from "../support/python.ts";

test("librdkafka gets back what it sent, byte for byte, in every compression (C20)", async () => {
  await withTemporaryFolder(async (dataDirectory) => {
    const broker = await BrokerProcess.start({ dataDirectory });
    try {
      const output = await runPython("test/compat/librdkafka.py", broker.bootstrap);
      expect(JSON.parse(output)).toEqual({
        topics: ["rd"],
        sent: 10_000,
        errors: [],
        received: 10_000,
        equal: true,
        wrong: [],
        committed: 10_000,
      });
    } finally {
      await broker.stop();
    }
  });
});
