import { InvariantError } from "../../../../src/base/assert.ts";
import type { Encodable, Infer, Message } from "../../../../src/protocol/schema.ts";
import type { TypedApiHandler } from "../../../../src/server/api-handler.ts";
import { call, FakeContext } from "../../handlers/support.ts";

/** Sends the request through the version's bytes and back, as a client sees it. */
export async function callBytes<Req extends Message, Res extends Message>(
  handler: TypedApiHandler<Req, Res>,
  apiVersion: number,
  request: Encodable<Req>,
): Promise<Infer<Res>> {
  const response = await call(handler, new FakeContext(apiVersion), request);
  if (typeof response === "symbol") throw new InvariantError("these handlers always answer");
  return response;
}

/** All versions that the handler serves. */
export function versionsOf(handler: { readonly minVersion: number; readonly maxVersion: number }) {
  return Array.from(
    { length: handler.maxVersion - handler.minVersion + 1 },
    (_, index) => handler.minVersion + index,
  );
}
