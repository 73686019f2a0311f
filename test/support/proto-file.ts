import { loadSync, type MessageTypeDefinition } from "@grpc/proto-loader";

export interface ProtoMessage {
  encode(value: object): Buffer;
  decode(bytes: Buffer): Record<string, unknown>;
}

/** What a package that reads .proto files makes of them: the oracle for the codecs by hand. */
export function protoFile(path: string) {
  const definitions = loadSync(path, { longs: Number, oneofs: true, enums: String });
  return {
    message: (name: string): ProtoMessage => {
      const type = definitions[`holdfast.${name}`] as MessageTypeDefinition<object, object>;
      return {
        encode: (value) => type.serialize(value),
        decode: (bytes) => type.deserialize(bytes) as Record<string, unknown>,
      };
    },
    /** Of all methods, as gRPC writes them. */
    paths: Object.values(definitions).flatMap((definition) =>
      "format" in definition
        ? []
        : Object.values(definition as Record<string, { path: string }>).map(({ path }) => path),
    ),
  };
}
