import type { Clock } from "./clock.ts";
import type { Disk } from "./disk.ts";
import type { Logger } from "./logger.ts";
import type { Net } from "./net.ts";
import type { Offload } from "./offload.ts";
import type { Random } from "./random.ts";
import type { OpenRpc } from "./rpc.ts";

/** Everything outside the process, and the log. Production and simulator differ nowhere else. */
export interface Ports {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly net: Net;
  readonly random: Random;
  readonly offload: Offload;
  readonly logger: Logger;
  /** The way to other nodes, asked for only where there are any. */
  readonly openRpc: OpenRpc;
}
