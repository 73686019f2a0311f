import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readCommandLine } from "../../src/server/config-command-line.ts";
import { ConfigError } from "../../src/server/config-error.ts";
import { peerTlsOf } from "../../src/server/config-tls.ts";
import { listenersOf, readSettingsFile, resolveConfig } from "../../src/server/config.ts";
import { peerOptionsOf } from "../../src/server/peer-options.ts";

type Values = Readonly<Record<string, string | number>>;

const THREE: Values = {
  "node.id": 1,
  "process.roles": "broker,controller",
  listeners: "PLAINTEXT://10.0.0.1:9092,CONTROLLER://10.0.0.1:9093",
  "controller.listener.names": "CONTROLLER",
  "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
  "controller.quorum.voters": "1@10.0.0.1:9093,2@10.0.0.2:9093,3@10.0.0.3:9093",
};
const BROKER: Values = {
  ...THREE,
  "node.id": 4,
  "process.roles": "broker",
  listeners: "PLAINTEXT://:9092",
};
const CONTROLLER: Values = {
  ...THREE,
  "process.roles": "controller",
  listeners: "CONTROLLER://10.0.0.1:9093",
};

function configOf(values: Values) {
  const settings = Object.entries(values).map(([key, value]) => {
    return { key, value: String(value), where: "test" };
  });
  return resolveConfig(settings, "host.example").config;
}

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error("nothing was refused");
}

function without(values: Values, key: string): Values {
  return Object.fromEntries(Object.entries(values).filter(([name]) => name !== key));
}

describe("a node of several", () => {
  test("of the three of config/ knows itself, the others, and one cluster", () => {
    const options = [1, 2, 3].map((id) => {
      const { config } = resolveConfig(readSettingsFile(`config/node-${id}.properties`), "host");
      return { config, peers: peerOptionsOf(config)! };
    });
    const [first] = options;
    const ports: number[] = [];
    for (const [index, { config, peers }] of options.entries()) {
      expect(peers).toMatchObject({ nodeId: index + 1, isBroker: true, isController: true });
      expect(peers.voters).toEqual(first!.peers.voters);
      expect(peers.clusterId).toBe(first!.peers.clusterId);
      const { advertisedHost: host, advertisedPort: port, name } = peers.listener;
      expect(name).toBe("CONTROLLER");
      expect(peers.voters[index]).toEqual({ nodeId: index + 1, host, port });
      expect(listenersOf(config)).toHaveLength(1);
      ports.push(port, listenersOf(config)[0]!.port);
      expect(config["default.replication.factor"]).toBe(3);
    }
    expect(new Set(ports).size).toBe(6);
    expect(new Set(options.map(({ config }) => config["log.dirs"][0])).size).toBe(3);
    expect(new Set(options.map(({ config }) => config["holdfast.admin.address"])).size).toBe(3);
  });

  test("has Kafka's times unless it is told others", () => {
    expect(peerOptionsOf(configOf(THREE))).toMatchObject({
      timing: {
        electionTimeoutMs: 1000,
        electionBackoffMaxMs: 1000,
        fetchTimeoutMs: 2000,
        requestTimeoutMs: 2000,
      },
      fetchMaxBytes: 1048576,
      fetchSnapshotMaxBytes: 1048576,
      autoJoin: false,
      clusterId: null,
    });
    const special = peerOptionsOf(
      configOf({
        ...THREE,
        "controller.quorum.election.timeout.ms": 101,
        "controller.quorum.election.backoff.max.ms": 102,
        "controller.quorum.fetch.timeout.ms": 103,
        "controller.quorum.request.timeout.ms": 104,
        "controller.quorum.fetch.max.bytes": 105,
        "controller.quorum.fetch.snapshot.max.bytes": 106,
        "holdfast.cluster.id": "our-cluster",
      }),
    );
    expect(special).toMatchObject({
      timing: {
        electionTimeoutMs: 101,
        electionBackoffMaxMs: 102,
        fetchTimeoutMs: 103,
        requestTimeoutMs: 104,
      },
      fetchMaxBytes: 105,
      fetchSnapshotMaxBytes: 106,
      clusterId: "our-cluster",
    });
  });

  test("may be a controller only, and has no listener for clients then", () => {
    const config = configOf(CONTROLLER);
    expect(listenersOf(config)).toEqual([]);
    expect(peerOptionsOf(config)).toMatchObject({
      isBroker: false,
      isController: true,
      listener: { name: "CONTROLLER", host: "10.0.0.1", port: 9093 },
    });
  });

  test("may be a broker only, and opens a free port for others on its own host", () => {
    expect(peerOptionsOf(configOf(BROKER))).toMatchObject({
      isBroker: true,
      isController: false,
      listener: { name: "PEER", host: "", port: 0, advertisedHost: "host.example" },
    });
  });

  test.each([
    ["10.0.0.9:9500", { host: "10.0.0.9", port: 9500, advertisedHost: "10.0.0.9" }],
    [":9500", { host: "", port: 9500, advertisedHost: "host.example" }],
    ["0.0.0.0:9500", { host: "0.0.0.0", port: 9500, advertisedHost: "host.example" }],
    ["[fd00::1]:0", { host: "fd00::1", port: 0, advertisedHost: "fd00::1" }],
  ])("that is a broker only may say where: holdfast.peer.listener=%s", (text, listener) => {
    const config = configOf({ ...BROKER, "holdfast.peer.listener": text });
    expect(peerOptionsOf(config)?.listener).toMatchObject(listener);
  });

  test("finds controllers by bootstrap servers alone", () => {
    const values = { ...without(THREE, "controller.quorum.voters") };
    const config = configOf({
      ...values,
      "controller.quorum.bootstrap.servers": "a:9093,[fd00::2]:9093",
    });
    expect(peerOptionsOf(config)).toMatchObject({
      voters: [],
      bootstrap: [
        { host: "a", port: 9093 },
        { host: "fd00::2", port: 9093 },
      ],
    });
  });

  test("tells others the advertised address, its own among the voters, its listener's, its host's name", () => {
    const everywhere = { ...THREE, listeners: "PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093" };
    const advertised = "PLAINTEXT://a.example:9092,CONTROLLER://b.example:19093";
    const bootstrap = {
      ...without(THREE, "controller.quorum.voters"),
      "controller.quorum.bootstrap.servers": "other:9093",
    };
    const told = [
      { ...everywhere, "advertised.listeners": advertised },
      everywhere,
      bootstrap,
      { ...bootstrap, listeners: "PLAINTEXT://:9092,CONTROLLER://:9093" },
    ].map((values) => {
      const { advertisedHost, advertisedPort } = peerOptionsOf(configOf(values))!.listener;
      return `${advertisedHost}:${advertisedPort}`;
    });
    expect(told).toEqual([
      "b.example:19093",
      "10.0.0.1:9093",
      "10.0.0.1:9093",
      "host.example:9093",
    ]);
    const nowhere = { ...bootstrap, listeners: "PLAINTEXT://:9092,CONTROLLER://0.0.0.0:9093" };
    expect(messageOf(() => configOf(nowhere))).toContain("advertised.listeners=CONTROLLER://");
  });

  test("gets its cluster's id from the variable that Kafka's image formats directories with", () => {
    const command = readCommandLine(["--override", "node.id=1", "config/server.properties"], {
      CLUSTER_ID: "from-the-environment",
    });
    expect(command.kind === "run" && command.loaded.config["holdfast.cluster.id"]).toBe(
      "from-the-environment",
    );
  });

  test.each([
    [{ ...THREE, "controller.quorum.voters": "1@a" }, 'has "1@a": must be id@host:port'],
    [{ ...THREE, "controller.quorum.voters": "a:1" }, "must be id@host:port"],
    [{ ...THREE, "controller.quorum.voters": "1@a:1,1@b:1" }, "has the id 1 twice"],
    [{ ...THREE, "controller.quorum.voters": "1@a:0,2@b:1" }, "must be id@host:port"],
    [{ ...THREE, "controller.quorum.bootstrap.servers": "a" }, "must be host:port"],
    [{ ...THREE, "node.id": 9 }, "node.id=9 must be among controller.quorum.voters"],
    [{ ...BROKER, "node.id": 2 }, "node.id=2 must not be among controller.quorum.voters"],
    [without(THREE, "controller.listener.names"), "controller.listener.names is empty"],
    [without(BROKER, "controller.listener.names"), "controller.listener.names is empty"],
    [without(BROKER, "controller.quorum.voters"), "say where controllers are"],
    [without(CONTROLLER, "controller.quorum.voters"), "say where controllers are"],
    [{ ...THREE, listeners: "PLAINTEXT://:9092" }, "must have one of controller.listener.names"],
    [{ ...BROKER, listeners: "PLAINTEXT://:9092,CONTROLLER://:9093" }, "must have none of"],
    [{ ...CONTROLLER, listeners: THREE["listeners"]! }, "must have none but those of"],
    [
      { ...THREE, "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT" },
      "has no security protocol",
    ],
    [
      { ...THREE, "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_SSL" },
      "asks for SASL_SSL",
    ],
    [{ ...THREE, "holdfast.peer.listener": "a:1" }, "is for nodes that are no controllers"],
    [{ ...BROKER, "holdfast.peer.listener": "a" }, "must be host:port"],
    [{ ...BROKER, "inter.broker.listener.name": "INSIDE" }, "must be among listeners"],
    [{ ...THREE, "broker.heartbeat.interval.ms": 9000 }, "must be below broker.session.timeout.ms"],
  ])("%j is refused with the reason", (values, mentioned) => {
    expect(messageOf(() => configOf(values))).toContain(mentioned);
  });

  test.each([
    [without(THREE, "controller.quorum.voters")],
    [{ ...THREE, "controller.quorum.voters": "1@anywhere:9093" }],
    [
      {
        ...without(THREE, "controller.quorum.voters"),
        "controller.quorum.bootstrap.servers": "localhost:9093",
      },
    ],
    [{ "node.id": 1 }],
  ])("is not one that has no other: %j is a lone node", (values) => {
    expect(peerOptionsOf(configOf(values))).toBeNull();
  });

  test("is one whose only bootstrap server is another node, so that it founds no cluster of its own", () => {
    const alone = without(THREE, "controller.quorum.voters");
    const bootstrap = { ...alone, "controller.quorum.bootstrap.servers": "10.0.0.2:9093" };
    expect(peerOptionsOf(configOf(bootstrap))).not.toBeNull();
  });
});

describe("certificates between nodes", () => {
  const directory = "test/support/certificates";
  const key = readFileSync(join(directory, "cluster-node.key"), "utf8");
  const chain = readFileSync(join(directory, "cluster-node.pem"), "utf8");
  const authorities = readFileSync(join(directory, "cluster-authority.pem"), "utf8");
  const SSL = {
    ...THREE,
    "listener.security.protocol.map": "CONTROLLER:SSL,PLAINTEXT:PLAINTEXT",
    "ssl.keystore.type": "PEM",
    "ssl.truststore.type": "PEM",
  };
  const IN_PLACE = {
    ...SSL,
    "ssl.keystore.key": key,
    "ssl.keystore.certificate.chain": chain,
    "ssl.truststore.certificates": authorities,
  };

  test("are none where the listener for controllers is PLAINTEXT", () => {
    expect(peerTlsOf(configOf(THREE))).toBeNull();
  });

  test("come from the settings themselves, or from files, as Kafka has them for PEM", () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      const keystore = join(folder, "keystore.pem");
      writeFileSync(keystore, `${key}${chain}`);
      const inFiles = {
        ...SSL,
        "ssl.keystore.location": keystore,
        "ssl.truststore.location": join(directory, "cluster-authority.pem"),
        "ssl.client.auth": "required",
      };
      for (const values of [IN_PLACE, inFiles]) {
        const tls = peerTlsOf(configOf(values))!;
        expect(tls.privateKey.trim()).toBe(key.trim());
        expect(tls.certificateChain.trim()).toBe(chain.trim());
        expect(tls.authorities.trim()).toBe(authorities.trim());
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("may have a key that a password opens", () => {
    const { privateKey } = generateKeyPairSync("ec", {
      namedCurve: "prime256v1",
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: {
        type: "pkcs8",
        format: "pem",
        cipher: "aes-256-cbc",
        passphrase: "secret",
      },
    });
    const locked = { ...IN_PLACE, "ssl.keystore.key": privateKey };
    const tls = peerTlsOf(configOf({ ...locked, "ssl.key.password": "secret" }));
    expect(tls?.privateKey).toContain("BEGIN PRIVATE KEY");
    for (const password of [{}, { "ssl.key.password": "wrong" }]) {
      expect(messageOf(() => peerTlsOf(configOf({ ...locked, ...password })))).toContain(
        "opened by ssl.key.password",
      );
    }
  });

  test.each([
    [SSL, "this node has no certificate"],
    [without(IN_PLACE, "ssl.keystore.key"), "this node has no certificate"],
    [without(IN_PLACE, "ssl.truststore.certificates"), "this node trusts nobody"],
    [{ ...SSL, "ssl.keystore.location": "/nowhere/at/all" }, "cannot be read (ENOENT)"],
    [{ ...SSL, "ssl.keystore.type": "JKS", "ssl.keystore.location": "x" }, "must be PEM"],
  ])("that are not whole are refused: %#", (values, mentioned) => {
    expect(messageOf(() => peerTlsOf(configOf(values)))).toContain(mentioned);
  });

  test.each([
    ["ssl.keystore.location", "x.pem"],
    ["ssl.client.auth", "required"],
  ])("%s is refused where nothing would come of it", (name, value) => {
    expect(messageOf(() => configOf({ ...THREE, [name]: value }))).toContain("only between nodes");
  });
});
