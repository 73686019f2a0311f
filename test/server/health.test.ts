import { expect, test } from "vitest";
import { healthChecks } from "../../src/server/health.ts";
import { EMPTY_IMAGE } from "../../src/server/metadata/image.ts";

const ONLINE = { path: "/data/a", directoryId: null, isOnline: true };
const OFFLINE = { path: "/data/b", directoryId: null, isOnline: false };

function unhealthy(parts: Partial<Parameters<typeof healthChecks>[0]>): string[] {
  const checks = healthChecks({
    isServing: true,
    isStopping: false,
    directories: [ONLINE],
    image: null,
    nodeId: 1,
    ...parts,
  });
  return checks
    .filter(({ isHealthy }) => !isHealthy)
    .map(({ name, detail }) => `${name}: ${detail}`);
}

test("a broker that starts, or stops, is not ready", () => {
  expect(unhealthy({ isServing: false })).toContain("listeners: The broker is starting.");
  expect(unhealthy({ isStopping: true })).toContain("listeners: The broker is stopping.");
});

test("a broker that the controller does not know is not ready", () => {
  expect(unhealthy({ image: EMPTY_IMAGE })).toEqual([
    "registration: The controller does not know this broker yet.",
  ]);
});

test("a broker is ready as long as one log directory takes batches, and names the others", () => {
  const names = (directories: readonly (typeof ONLINE)[]) =>
    unhealthy({ directories }).filter((text) => text.startsWith("log-directories"));
  expect(names([ONLINE, OFFLINE])).toEqual([]);
  expect(names([OFFLINE])).toEqual([
    "log-directories: These log directories take no batches: /data/b.",
  ]);
});
