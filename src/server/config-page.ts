import { KEYS_WITHOUT_EFFECT } from "./config-kafka-keys.ts";
import { allKeys, CONFIG_KEYS } from "./config-keys.ts";
import { REFUSED_KEYS } from "./config-refused-keys.ts";
import type { ConfigSpec } from "./config-spec.ts";
import { TOPIC_CONFIG_KEYS, TOPIC_CONFIGS } from "./metadata/topic-config-keys.ts";

const INTRODUCTION = `# Settings

Made from the tables in \`src/server/config-keys*.ts\` and \`metadata/topic-config-keys.ts\`; a test fails when the two
differ (\`UPDATE=1 npx vitest run --project unit test/server/config-page.test.ts\` writes it anew). \`bin/broker
--help-config [TEXT]\` tells the same.

\`bin/broker [FILE.properties] [--override KEY=VALUE]...\`. What comes later in this row wins:

1. Kafka's defaults (ours where the table says so);
2. the file;
3. the environment, by the rule of Kafka's docker image: \`KAFKA_LOG_DIRS\` is \`log.dirs\`; \`_\` is a dot, \`__\` an
   underscore, \`___\` a dash;
4. \`--override\`;
5. what is set while it runs, for topics, for all brokers or for one (\`kafka-configs --alter\`). It is kept in the
   cluster's metadata and outlives restarts. A line at the start names what it overrules.

Every key of Kafka 4.3 is known: it has its effect, or is named at the start as without effect, or (what would
change who may do what, or where data goes) is refused with exit code 78. A key that nobody knows is warned of, with
the nearest one. Keys that begin with \`holdfast.\` are ours. "While it runs": \`all\`, for all brokers or for one;
\`each\`, for one broker only; empty, only at a start.

## When a changed setting holds

A change is answered when it is committed, durably, and taken over by this node: whatever begins after the answer
sees it. For \`flush.messages\` and \`flush.ms\` (and \`log.flush.interval.*\`, which topics inherit) that is exact:

- each acknowledgement given after the answer obeys the new policy, also of a record that was sent before;
- what was acknowledged before under a weaker policy is synced at once, but not waited for: it is as safe as the new
  policy says when the next acknowledgement of its partition arrives, or when the disk has caught up;
- taken back, a policy that had been waited for ends with the answer, not before.

A \`min.insync.replicas\` that changes counts from the answer on, for produces that come then and for the high
watermark; those that could lead by the old rule no longer can (R6).
`;

const HEADER = `| key | type | default | value | while it runs | what it does |
| --- | --- | --- | --- | --- | --- |`;

/** docs/configuration.md, in Markdown. */
export function configurationPage(): string {
  return `${INTRODUCTION}
## The broker's settings

${HEADER}
${Object.entries(CONFIG_KEYS).map(row).join("\n")}

## A topic's settings

They come from the broker's key unless the topic has its own.

| key | type | default | value | the broker's key | what it does |
| --- | --- | --- | --- | --- | --- |
${TOPIC_CONFIG_KEYS.map(topicRow).join("\n")}

## Kafka's keys without effect

They are checked, told by DescribeConfigs, and can be set where Kafka allows it.

${HEADER}
${Object.entries(KEYS_WITHOUT_EFFECT).filter(isPublic).map(row).join("\n")}

## Kafka's keys that are refused

Also whatever else begins with \`ssl.\`, \`sasl.\` or \`listener.name.\`.

${HEADER}
${Object.entries(REFUSED_KEYS).filter(isPublic).map(row).join("\n")}
`;
}

/** What --help-config prints: the keys, the broker's and then the topics', whose lines have the text. */
export function configurationHelp(text = ""): string {
  const broker = [...allKeys()].filter(isPublic).map(([key, { updateMode, ...spec }]) => {
    return help(key, spec, updateMode === "read-only" ? "" : `, ${updateMode}`);
  });
  const topics = TOPIC_CONFIG_KEYS.map((key) => help(key, TOPIC_CONFIGS[key], ", of a topic"));
  const found = [...broker, ...topics].filter((lines) => lines.includes(text));
  return found.length === 0 ? `no setting has "${text}" in its lines` : found.join("\n");
}

function help(
  key: string,
  spec: Pick<ConfigSpec<unknown>, "type" | "defaultText" | "doc">,
  remark: string,
): string {
  const { type, defaultText, doc } = spec;
  const value = defaultText === "" ? "empty" : (defaultText ?? "none");
  return `${key}\n    ${type.kind}, default ${value}${remark}: ${doc}`;
}

function isPublic([, spec]: [string, ConfigSpec<unknown>]): boolean {
  return !spec.isInternal;
}

function row([key, spec]: [string, ConfigSpec<unknown>]): string {
  const { type, defaultText, kafkaDefaultText, updateMode, doc } = spec;
  const ours = code(defaultText);
  const value =
    kafkaDefaultText === undefined ? ours : `${ours} (Kafka: ${code(kafkaDefaultText)})`;
  const when = { "read-only": "", "per-broker": "each", "cluster-wide": "all" }[updateMode];
  return `| \`${key}\` | ${type.kind} | ${value} | ${type.allowed} | ${when} | ${doc} |`;
}

function topicRow(key: (typeof TOPIC_CONFIG_KEYS)[number]): string {
  const { type, defaultText, synonyms, doc } = TOPIC_CONFIGS[key];
  const keys = synonyms.map((synonym) => code(typeof synonym === "string" ? synonym : synonym[0]));
  return `| \`${key}\` | ${type.kind} | ${code(defaultText)} | ${type.allowed} | ${keys.join(", ")} | ${doc} |`;
}

function code(text: string | null): string {
  return text === null || text === "" ? "" : `\`${text}\``;
}
