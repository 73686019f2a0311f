import { describe, expect, test, vi } from "vitest";
import * as batch from "../../src/protocol/records/batch.ts";
import { run } from "./run.ts";

vi.mock("../../src/protocol/records/batch.ts", { spy: true });

describe("one flipped bit in a closed directory", () => {
  test("is found before a client sees it, or harmless, in every kind of file", async () => {
    const { violations } = await run({ flips: 140, seed: 3 });
    expect(violations).toEqual([]);
  });

  test("is served to clients where no checksum is looked at: the check can fail", async () => {
    vi.mocked(batch.isBatchCrcValid).mockReturnValue(true);
    const { violations } = await run({ flips: 40, seed: 3, kinds: [".log"] });
    vi.mocked(batch.isBatchCrcValid).mockRestore();
    expect(violations.length).toBeGreaterThan(20);
    expect(violations.join("\n")).toContain("the batch at");
  });
});
