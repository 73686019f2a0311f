import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { replayTranscript } from "./transcript.ts";

const DIRECTORY = "test/raft/testdata";

/** `UPDATE=1` records them anew: the difference is what is to be reviewed. */
describe("what a node does, step by step", () => {
  for (const name of readdirSync(DIRECTORY)) {
    test(name, () => {
      const path = join(DIRECTORY, name);
      const recorded = readFileSync(path, "utf8");
      const replayed = replayTranscript(recorded);
      if (process.env["UPDATE"] === "1") writeFileSync(path, replayed);
      else expect(replayed).toBe(recorded);
    });
  }
});
