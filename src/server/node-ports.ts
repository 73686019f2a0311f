import { SystemClock } from "../base/clock.ts";
import type { Disk } from "../base/disk.ts";
import type { Logger } from "../base/logger.ts";
import type { OpenRpc } from "../base/rpc.ts";
import type { Ports } from "../base/ports.ts";
import { SystemRandom } from "../base/random.ts";
import { NodeDisk } from "../storage/node-disk.ts";
import type { VolatileDisk } from "../storage/volatile-disk.ts";
import type { BrokerConfig } from "./config-keys.ts";
import type { DiskFaults } from "./main-disk-faults.ts";
import { NodeNet } from "./net/node-net.ts";
import { NodeOffload } from "./offload.ts";

export interface NodePorts {
  readonly ports: Ports;
  /**
   * The page cache of `holdfast.disk.page.cache=process`, else null. Whoever ends the process in any
   * way but kill -9 calls its `flushAll`, as a kernel would write back.
   */
  readonly volatileDisk: VolatileDisk | null;
  /** The faults of `holdfast.disk.faults`, else null. */
  readonly diskFaults: DiskFaults | null;
}

/** The operating system behind the ports. Throws FaultRuleError. */
export async function nodePorts(config: BrokerConfig, logger: Logger): Promise<NodePorts> {
  const clock = new SystemClock();
  const random = new SystemRandom();
  const diskFaults = await maybeFaults(config, { clock, logger });
  const nodeDisk = new NodeDisk({ clock, random });
  const platter = diskFaults?.over(nodeDisk, "platter") ?? nodeDisk;
  const volatileDisk = await maybeVolatile(config, { disk: platter, clock, random });
  const cached: Disk = volatileDisk ?? nodeDisk;
  const disk = diskFaults?.over(cached, "call") ?? cached;
  const net = new NodeNet();
  const offload = new NodeOffload();
  const openRpc: OpenRpc = async (options) => {
    // A lone node pays nothing for it.
    const { GrpcRpc } = await import("./net/grpc-rpc.ts");
    return new GrpcRpc({ clock }, options);
  };
  const ports = { clock, disk, net, random, offload, logger, openRpc };
  return { ports, volatileDisk, diskFaults };
}

async function maybeFaults(
  config: BrokerConfig,
  dependencies: { readonly clock: SystemClock; readonly logger: Logger },
): Promise<DiskFaults | null> {
  const path = config["holdfast.disk.faults"];
  if (path === null) return null;
  const { DiskFaults } = await import("./main-disk-faults.ts");
  const hasPlatter = config["holdfast.disk.page.cache"] === "process";
  return DiskFaults.load(dependencies, { path, hasPlatter });
}

async function maybeVolatile(
  config: BrokerConfig,
  dependencies: ConstructorParameters<typeof VolatileDisk>[0],
): Promise<VolatileDisk | null> {
  if (config["holdfast.disk.page.cache"] === "os") return null;
  const { VolatileDisk } = await import("../storage/volatile-disk.ts");
  return new VolatileDisk(dependencies, {
    directories: config["log.dirs"],
    ageMs: config["holdfast.disk.page.cache.age.ms"].value,
    capacityBytes: config["holdfast.disk.page.cache.bytes"].value,
  });
}
