import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import type { RpcTls } from "../base/rpc.ts";
import { ConfigError } from "./config-error.ts";
import type { BrokerValues } from "./config-keys.ts";
import { hasPeerTls } from "./config-quorum.ts";

const KEY = /-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*-----END [A-Z ]*PRIVATE KEY-----/;
const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/**
 * The certificates of the traffic between nodes, in the forms that Kafka has for PEM (KIP-651): in the
 * settings themselves or in files. null: it goes in plaintext. Throws ConfigError.
 */
export function peerTlsOf(values: BrokerValues): RpcTls | null {
  if (!hasPeerTls(values)) return null;
  const store = storeOf(values, "ssl.keystore.location");
  const key = values["ssl.keystore.key"] ?? KEY.exec(store)?.[0];
  const chain = values["ssl.keystore.certificate.chain"] ?? certificates(store);
  const trusted = values["ssl.truststore.certificates"];
  const authorities = trusted ?? certificates(storeOf(values, "ssl.truststore.location"));
  if (key === undefined || chain === "") {
    throw new ConfigError(
      "the listener for controllers is SSL, and this node has no certificate: set ssl.keystore.type=PEM " +
        "and ssl.keystore.location, or ssl.keystore.key and ssl.keystore.certificate.chain",
    );
  }
  if (authorities === "") {
    throw new ConfigError(
      "the listener for controllers is SSL, and this node trusts nobody: set ssl.truststore.type=PEM " +
        "and ssl.truststore.location, or ssl.truststore.certificates",
    );
  }
  return { authorities, certificateChain: chain, privateKey: opened(key, values) };
}

function storeOf(
  values: BrokerValues,
  key: "ssl.keystore.location" | "ssl.truststore.location",
): string {
  const path = values[key];
  const typeKey = key === "ssl.keystore.location" ? "ssl.keystore.type" : "ssl.truststore.type";
  if (path === null) return "";
  if (values[typeKey].toUpperCase() !== "PEM") {
    throw new ConfigError(`${typeKey}=${values[typeKey]}: must be PEM, and ${key} such a file`);
  }
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new ConfigError(`${key}=${path} cannot be read (${code})`, { cause: error });
  }
}

function certificates(text: string): string {
  return (text.match(CERTIFICATES) ?? []).join("\n");
}

/** The key without its password. */
function opened(key: string, values: BrokerValues): string {
  try {
    const passphrase = values["ssl.key.password"];
    const options = passphrase === null ? { key } : { key, passphrase };
    return createPrivateKey(options).export({ type: "pkcs8", format: "pem" }).toString();
  } catch (error) {
    throw new ConfigError(
      "the key of ssl.keystore cannot be read: must be PEM, opened by ssl.key.password",
      { cause: error },
    );
  }
}
