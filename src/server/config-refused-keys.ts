import { isListenerLimitKey } from "./config-connection-limits.ts";
import { TLS_KEYS } from "./config-keys-quorum.ts";
import {
  anyCase,
  boolean,
  className,
  clusterWide,
  type ConfigSpec,
  double,
  int,
  list,
  long,
  optionalClass,
  optionalInt,
  optionalString,
  password,
  perBroker,
  short,
  string,
  withoutDefault,
} from "./config-spec.ts";

/**
 * Kafka's keys (4.3) that would change who may do what, or where data goes: to pass over them would be
 * dangerous, so any value that is not Kafka's default, empty, false or 0 is refused.
 */

const TLS = keys("between nodes it is as it is, and clients have no TLS yet", {
  "ssl.allow.dn.changes": boolean(false),
  "ssl.allow.san.changes": boolean(false),
  "ssl.cipher.suites": perBroker(list("")),
  "ssl.enabled.protocols": perBroker(list("TLSv1.2,TLSv1.3")),
  "ssl.endpoint.identification.algorithm": perBroker(string("https")),
  "ssl.engine.factory.class": perBroker(optionalClass()),
  "ssl.keymanager.algorithm": perBroker(string("SunX509")),
  "ssl.keystore.password": perBroker(password()),
  "ssl.principal.mapping.rules": string("DEFAULT"),
  "ssl.protocol": perBroker(string("TLSv1.3")),
  "ssl.provider": perBroker(optionalString()),
  "ssl.secure.random.implementation": perBroker(optionalString()),
  "ssl.trustmanager.algorithm": perBroker(string("PKIX")),
  "ssl.truststore.password": perBroker(password()),
});

const SASL = keys("SASL is not built yet", {
  "connections.max.reauth.ms": long(0, {}),
  "sasl.client.callback.handler.class": optionalClass(),
  "sasl.enabled.mechanisms": perBroker(list("GSSAPI")),
  "sasl.jaas.config": perBroker(password()),
  "sasl.kerberos.kinit.cmd": perBroker(string("/usr/bin/kinit")),
  "sasl.kerberos.min.time.before.relogin": perBroker(long(60000, {})),
  "sasl.kerberos.principal.to.local.rules": perBroker(list("DEFAULT")),
  "sasl.kerberos.service.name": perBroker(optionalString()),
  "sasl.kerberos.ticket.renew.jitter": perBroker(double(0.05, {})),
  "sasl.kerberos.ticket.renew.window.factor": perBroker(double(0.8, {})),
  "sasl.login.callback.handler.class": optionalClass(),
  "sasl.login.class": optionalClass(),
  "sasl.login.connect.timeout.ms": optionalInt({}),
  "sasl.login.read.timeout.ms": optionalInt({}),
  "sasl.login.refresh.buffer.seconds": perBroker(short(300, {})),
  "sasl.login.refresh.min.period.seconds": perBroker(short(60, {})),
  "sasl.login.refresh.window.factor": perBroker(double(0.8, {})),
  "sasl.login.refresh.window.jitter": perBroker(double(0.05, {})),
  "sasl.login.retry.backoff.max.ms": long(10000, {}),
  "sasl.login.retry.backoff.ms": long(100, {}),
  "sasl.mechanism.controller.protocol": string("GSSAPI"),
  "sasl.mechanism.inter.broker.protocol": perBroker(string("GSSAPI")),
  "sasl.oauthbearer.assertion.algorithm": anyCase("RS256", ["ES256", "RS256"]),
  "sasl.oauthbearer.assertion.claim.aud": optionalString(),
  "sasl.oauthbearer.assertion.claim.exp.seconds": int(300, { min: 0, max: 86400 }),
  "sasl.oauthbearer.assertion.claim.iss": optionalString(),
  "sasl.oauthbearer.assertion.claim.jti.include": boolean(false),
  "sasl.oauthbearer.assertion.claim.nbf.seconds": int(60, { min: 0, max: 3600 }),
  "sasl.oauthbearer.assertion.claim.sub": optionalString(),
  "sasl.oauthbearer.assertion.file": optionalString(),
  "sasl.oauthbearer.assertion.private.key.file": optionalString(),
  "sasl.oauthbearer.assertion.private.key.passphrase": password(),
  "sasl.oauthbearer.assertion.template.file": optionalString(),
  "sasl.oauthbearer.client.credentials.client.id": optionalString(),
  "sasl.oauthbearer.client.credentials.client.secret": password(),
  "sasl.oauthbearer.clock.skew.seconds": int(30, {}),
  "sasl.oauthbearer.expected.audience": list(""),
  "sasl.oauthbearer.expected.issuer": optionalString(),
  "sasl.oauthbearer.jwks.endpoint.refresh.ms": long(3600000, {}),
  "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": long(10000, {}),
  "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": long(100, {}),
  "sasl.oauthbearer.jwks.endpoint.url": optionalString(),
  "sasl.oauthbearer.jwt.retriever.class": className(
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever",
  ),
  "sasl.oauthbearer.jwt.validator.class": className(
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator",
  ),
  "sasl.oauthbearer.scope": optionalString(),
  "sasl.oauthbearer.scope.claim.name": string("scope"),
  "sasl.oauthbearer.sub.claim.name": string("sub"),
  "sasl.oauthbearer.token.endpoint.url": optionalString(),
  "sasl.server.callback.handler.class": optionalClass(),
  "sasl.server.max.receive.size": int(524288, {}),
});

const OTHERS = keys("it is not built yet, and would change who may do what or where data goes", {
  "alter.config.policy.class.name": optionalClass(),
  "authorizer.class.name": string(""),
  "client.quota.callback.class": optionalClass(),
  "config.providers": clusterWide(list("")),
  "cordoned.log.dirs": perBroker(list("")),
  "create.topic.policy.class.name": optionalClass(),
  "delegation.token.secret.key": password(),
  "early.start.listeners": withoutDefault(list("")),
  "principal.builder.class": perBroker(
    className("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
  ),
  "remote.log.storage.system.enable": boolean(false),
  "replica.selector.class": optionalString(),
  "security.providers": optionalString(),
  "transaction.two.phase.commit.enable": boolean(false),
});

const REFUSED_PREFIXES = ["ssl.", "sasl.", "listener.name."];

/** By key. */
export const REFUSED_KEYS: Readonly<Record<string, ConfigSpec<unknown>>> = {
  ...TLS,
  ...SASL,
  ...OTHERS,
};

/** Also of keys that are in no table: of a listener, or of a plug-in. */
export function isRefusedKey(key: string): boolean {
  if (isListenerLimitKey(key) || Object.hasOwn(TLS_KEYS, key)) return false;
  return (
    Object.hasOwn(REFUSED_KEYS, key) || REFUSED_PREFIXES.some((prefix) => key.startsWith(prefix))
  );
}

function keys(
  why: string,
  table: Readonly<Record<string, ConfigSpec<unknown>>>,
): Readonly<Record<string, ConfigSpec<unknown>>> {
  return Object.fromEntries(
    Object.entries(table).map(([key, spec]) => [
      key,
      { ...spec, doc: `Refused unless it is left at its default: ${why}.` },
    ]),
  );
}
