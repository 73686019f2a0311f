import { expect, test } from "vitest";
import { DiskError } from "../../src/base/disk.ts";
import { KafkaError } from "../../src/protocol/errors.ts";
import { startWithRoom } from "../../src/server/start-with-room.ts";
import { logWorld } from "../storage/support/log-world.ts";

/** A start that finds no room until there is some. */
function world() {
  const { clock, dependencies, said } = logWorld();
  const state = { usableBytes: 0, isWanted: true, attemptCount: 0 };
  const disk = {
    statfs: () => Promise.resolve({ totalBytes: 1e9, usableBytes: state.usableBytes }),
  };
  const begin = (refusal: Error) =>
    startWithRoom(
      { clock, disk, logger: dependencies.logger },
      { directory: "/a", isWanted: () => state.isWanted },
      () => {
        state.attemptCount += 1;
        return state.usableBytes === 0 ? Promise.reject(refusal) : Promise.resolve("started");
      },
    );
  return { clock, said, state, begin };
}

const NO_ROOM = new DiskError("ENOSPC", "/a/x", "writev");

test("a start without room says what it waits for, and goes on within a second of room", async () => {
  const { clock, said, state, begin } = world();
  const starting = begin(new KafkaError("KAFKA_STORAGE_ERROR", "refused", { cause: NO_ROOM }));
  for (let seconds = 0; seconds < 15; seconds += 1) await clock.advance(1_000);
  // It does not try while the disk says itself that there is no room.
  expect(state.attemptCount).toBe(1);
  expect(said.map(({ message }) => message)).toEqual([
    expect.stringContaining("log directory /a"),
    expect.stringContaining("log directory /a"),
  ]);
  state.usableBytes = 1e9;
  await clock.advance(1_000);
  expect(await starting).toBe("started");
});

test.each([
  ["a sync that fails, whatever its reason (R9)", new DiskError("ENOSPC", "/a/x", "datasync")],
  ["a broken disk", new DiskError("EIO", "/a/x", "writev")],
  ["a bug", new Error("bug")],
])("a start does not outlive %s", async (_name, refusal) => {
  const { begin, state } = world();
  await expect(begin(refusal)).rejects.toBe(refusal);
  expect(state.attemptCount).toBe(1);
});

test("a start that waits ends when nobody wants it any more", async () => {
  const { clock, begin, state } = world();
  const starting = begin(NO_ROOM);
  await clock.advance(1_000);
  state.isWanted = false;
  state.usableBytes = 1e9;
  await clock.advance(1_000);
  expect(await starting).toBeNull();
  expect(state.attemptCount).toBe(1);
});
