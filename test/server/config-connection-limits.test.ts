import { describe, expect, test } from "vitest";
import { listenerLimitOf, parseIpOverrides } from "../../src/server/config-connection-limits.ts";
import { resolveConfig } from "../../src/server/config.ts";
import { listenersOptionsOf } from "../../src/server/broker-options.ts";

function limitsFor(settings: Readonly<Record<string, string>>, maxOpenFiles?: number) {
  const all = Object.entries({ "node.id": "1", listeners: "PLAINTEXT://127.0.0.1:0", ...settings });
  const { config } = resolveConfig(all.map(([key, value]) => ({ key, value, where: "test" })));
  return listenersOptionsOf(config, maxOpenFiles).limits;
}

describe("max.connections.per.ip.overrides", () => {
  test("are addresses with counts, in the system's own spelling", () => {
    expect(parseIpOverrides("10.0.0.7:100, ::1:20,[0:0::1]:7,2001:DB8::0:5:0")).toEqual(
      new Map([
        ["10.0.0.7", 100],
        ["::1", 7],
        ["2001:db8::5", 0],
      ]),
    );
    expect(parseIpOverrides("")).toEqual(new Map());
  });

  test.each(["host:5", "10.0.0.7", "10.0.0.7:x", "300.0.0.1:5", ":5", "::g:5", "1:5"])(
    "%s is refused, with the way out",
    (text) => {
      expect(() => parseIpOverrides(text)).toThrow(
        "must be addresses with counts, like 10.0.0.7:100",
      );
      expect(() => limitsFor({ "max.connections.per.ip.overrides": text })).toThrow(text);
    },
  );
});

describe("limits of connections, from settings", () => {
  test("are Kafka's by default, and half of the files that the process may open", () => {
    const limits = limitsFor({}, 20_001);
    expect(limits.maxConnections).toBe(10_000);
    expect(limits.maxConnectionsPerIp).toBe(2_147_483_647);
    expect(limitsFor({}).maxConnections).toBe(2_147_483_647);
    expect(limits.ofListener("PLAINTEXT")).toEqual({
      maxConnections: Infinity,
      maxCreationRate: Infinity,
    });
  });

  test("a listener has those of its own name", () => {
    const limits = limitsFor({
      "listener.name.plaintext.max.connections": "7",
      "listener.name.plaintext.max.connection.creation.rate": "3",
      "max.connection.creation.rate": "50",
    });
    expect(limits.ofListener("PLAINTEXT")).toEqual({ maxConnections: 7, maxCreationRate: 3 });
    expect(limits.maxCreationRate).toBe(50);
    expect(() => limitsFor({ "listener.name.plaintext.max.connections": "many" })).toThrow(
      "must be a whole number",
    );
    expect(listenerLimitOf("listener.name.plaintext.ssl.protocol")).toBeNull();
  });
});
