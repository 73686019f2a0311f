import { expect, test } from "vitest";
import { QuietLogger } from "../../src/server/quiet-logger.ts";
import { RecordingLogger } from "./support/recording-logger.ts";

test("a flood of warnings is ten lines a second, and the number of the others", () => {
  const clock = { now: 0, nowMs: () => clock.now };
  const logger = new RecordingLogger();
  const quiet = new QuietLogger({ clock, logger });
  for (let i = 0; i < 1_000; i += 1) quiet.warn({ i }, "bad");
  expect(logger.lines).toHaveLength(10);
  clock.now = 1_000;
  quiet.warn({}, "bad again");
  expect(logger.lines.slice(10).map(({ message }) => message)).toEqual([
    "990 more lines about clients were left out",
    "bad again",
  ]);
});
