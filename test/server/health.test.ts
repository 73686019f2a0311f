import { expect, test } from "vitest";
import { healthChecks } from "../../src/server/health.ts";
import { bootstrapCluster, registerBroker } from "../../src/server/metadata/broker-registration.ts";
import { EMPTY_IMAGE } from "../../src/server/metadata/image.ts";
import { clusterOf, decide, registration } from "./metadata/cluster-image.ts";

const ONLINE = { path: "/data/a", directoryId: null, isOnline: true };
const OFFLINE = { path: "/data/b", directoryId: null, isOnline: false };

function unhealthy(parts: Partial<Parameters<typeof healthChecks>[0]>): string[] {
  const checks = healthChecks({
    isServing: true,
    isStopping: false,
    directories: [ONLINE],
    image: null,
    controllerId: 2,
    nodeId: 1,
    isBroker: true,
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

test("a fenced broker is not ready, whoever is the active controller", () => {
  const fenced = decide(EMPTY_IMAGE, bootstrapCluster, (image) =>
    registerBroker(image, registration(1), image.offset + 1),
  );
  expect(unhealthy({ image: fenced })).toEqual(["registration: The broker is fenced."]);
  expect(unhealthy({ image: clusterOf(1) })).toEqual([]);
});

test("a node that is no broker is ready while it knows the active controller", () => {
  const quorum = (controllerId: number | null) => unhealthy({ isBroker: false, controllerId });
  expect(quorum(2)).toEqual([]);
  expect(quorum(null)).toEqual(["quorum: No active controller is known here."]);
});

test("a broker is ready as long as one log directory takes batches, and names the others", () => {
  const names = (directories: readonly (typeof ONLINE)[]) =>
    unhealthy({ directories }).filter((text) => text.startsWith("log-directories"));
  expect(names([ONLINE, OFFLINE])).toEqual([]);
  expect(names([OFFLINE])).toEqual([
    "log-directories: These log directories take no batches: /data/b.",
  ]);
});
