import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { BrokerProcess, withTemporaryFolder } from "../support/broker-process.ts";

interface Fact {
  readonly worker?: string;
  readonly partitions?: readonly number[];
  readonly order?: string;
  readonly left?: boolean;
  readonly sent?: number;
}

async function runExample(bootstrap: string, orders: number): Promise<Fact[]> {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["examples/orders.mjs", "--bootstrap", bootstrap, "--orders", String(orders)],
    { env: { ...process.env, KAFKAJS_NO_PARTITIONER_WARNING: "1" } },
  );
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Fact);
}

const ordersOf = (facts: readonly Fact[]) =>
  facts.flatMap(({ order }) => (order === undefined ? [] : [order]));

test("the example rebalances when a consumer leaves, and its commits survive a kill -9", async () => {
  await withTemporaryFolder(async (dataDirectory) => {
    const broker = await BrokerProcess.start({ dataDirectory });
    const first = await runExample(broker.bootstrap, 60);

    const owners = first.filter(({ partitions }) => partitions !== undefined);
    const bothShare = owners.some(
      ({ worker, partitions }) => worker === "bob" && partitions!.length === 2,
    );
    expect(bothShare).toBe(true);
    expect(owners.at(-1)).toMatchObject({ worker: "alice", partitions: [0, 1, 2, 3] });
    const firstOrders = ordersOf(first);
    expect(new Set(firstOrders).size).toBe(60);

    await broker.kill9();
    const restarted = await BrokerProcess.start({ dataDirectory, port: broker.port });
    const second = ordersOf(await runExample(restarted.bootstrap, 20));
    // The group goes on where it had committed: none of the first orders comes again.
    expect(second.filter((order) => firstOrders.includes(order))).toEqual([]);
    expect(new Set(second).size).toBe(20);
    expect(await restarted.stop()).toBe(0);
  });
});
