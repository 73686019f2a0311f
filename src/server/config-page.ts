import { CONFIG_KEYS, type ConfigKey } from "./config-keys.ts";

const INTRODUCTION = `# Settings

Made from the table in \`src/server/config-keys.ts\`; a test fails when the two differ (\`UPDATE=1 npx vitest
run test/server/config-page.test.ts\` writes it anew).

\`bin/broker [FILE.properties] [--override KEY=VALUE]...\`: defaults, then the file, then the overrides. The keys
are Kafka's, with Kafka's defaults and meaning unless said otherwise; those that begin with \`holdfast.\` are
ours. Kafka's other keys are answered, too: what would change who may do what is refused (exit code 78), what
only tunes something that is not here is named as without effect. An unknown key is warned of.
`;

/** docs/configuration.md, in Markdown. */
export function configurationPage(): string {
  const rows = (Object.keys(CONFIG_KEYS) as ConfigKey[]).map((key) => {
    const { defaultText, allowed, doc } = CONFIG_KEYS[key];
    const value = defaultText === null || defaultText === "" ? "" : `\`${defaultText}\``;
    return `| \`${key}\` | ${value} | ${allowed} | ${doc} |`;
  });
  return `${INTRODUCTION}
| key | default | value | what it does |
| --- | --- | --- | --- |
${rows.join("\n")}
`;
}
