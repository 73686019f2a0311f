declare const uuidBrand: unique symbol;

/**
 * A Kafka uuid as its text form: base64url of the 16 bytes, without padding, 22 characters.
 * A string, so that it is a key of a `Map` as it stands. Quantities that are computed with
 * (offsets, epochs, producer ids) are plain range-checked numbers: docs/decisions/0001.
 */
export type Uuid = string & { readonly [uuidBrand]: true };

/** Sixteen zero bytes: "no id" on the wire. */
export const ZERO_UUID = "AAAAAAAAAAAAAAAAAAAAAA" as Uuid;

/** Sixteen bytes as a Uuid. Only decoders and generators call it. */
export function uuidFromBytes(bytes: Buffer): Uuid {
  return bytes.toString("base64url") as Uuid;
}

/** The sixteen bytes of a uuid. */
export function uuidToBytes(uuid: Uuid): Buffer {
  return Buffer.from(uuid, "base64url");
}

/** Whether the text is the canonical form of a uuid. */
export function isUuid(text: string): text is Uuid {
  return (
    /^[A-Za-z0-9_-]{22}$/.test(text) &&
    Buffer.from(text, "base64url").toString("base64url") === text
  );
}
