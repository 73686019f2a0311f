import { type Clock, delay } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { AdminHttp, type ObservedBroker, parseAdminAddress } from "./admin-http.ts";

/** The broker's first clients come first: what the admin port needs takes a tenth of a second to load. */
const LOADING_DELAY_MS = 250;

/**
 * Opens the admin port, some time after the broker has begun to serve. Without it the broker goes on: what
 * is wrong and what to do about it is logged. An empty address: there is none.
 */
export async function openAdminPort(
  broker: ObservedBroker,
  address: string,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<void> {
  if (address === "") return;
  const place = parseAdminAddress(address);
  if (place === null) {
    logger.error({}, `holdfast.admin.address=${address} is no host:port: there is no admin port`);
    return;
  }
  await delay(clock, LOADING_DELAY_MS);
  try {
    const { port } = await AdminHttp.open(broker, place);
    const url = `http://${place.host.includes(":") ? `[${place.host}]` : place.host}:${port}`;
    logger.info({ adminPort: port }, `health and metrics: ${url}/readyz and ${url}/metrics`);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
    const way = "choose another in holdfast.admin.address, or leave that empty for none";
    const what = code === "EADDRINUSE" ? "is in use" : `cannot be bound (${code})`;
    logger.warn({}, `there is no admin port: ${address} ${what}; ${way}`);
  }
}
