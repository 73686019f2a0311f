import { describe, expect, test } from "vitest";
import { canOpenFiles, MIB, Target } from "./support.ts";

/** Besides the clients'. */
const ATTACKERS = 10_000;
/** Resident memory that an attacker may cost, the sockets' objects included. */
const MAX_BYTES_EACH = 24 * 1024;

// Half of what the broker may open is for connections, so that with no more the node is full.
describe.runIf(canOpenFiles(2 * ATTACKERS))(
  `${ATTACKERS} connections that nobody asked for`,
  () => {
    const target = new Target({ "num.partitions": 4 });

    test.each(["silent", "garbage", "trickle"])(
      "%s: bounded memory, and a stock client beside them loses nothing",
      async (kind) => {
        const before = target.residentBytes();
        await target.underAttack(kind, ATTACKERS, async () => {
          await target.produceAndConsume(`beside-${kind}`);
          const growth = target.residentBytes() - before;
          console.log(`${kind}: ${(growth / MIB).toFixed(1)} MiB for ${ATTACKERS} connections`);
          expect(growth).toBeLessThan(ATTACKERS * MAX_BYTES_EACH);
          if (kind !== "garbage") expect(await target.connections()).toBeGreaterThan(ATTACKERS / 2);
        });
      },
    );

    test("a flood of refusals is no flood of log lines", () => {
      const lines = target.output.split("\n").filter((line) => line.includes('"level":"warn"'));
      expect(lines.length).toBeLessThan(2_000);
    });
  },
);
