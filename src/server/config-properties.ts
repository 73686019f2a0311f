/** One setting as the user wrote it. A later one of the same key wins. */
export interface Setting {
  readonly key: string;
  readonly value: string;
  /** For messages: `server.properties:12` or `--override`. */
  readonly where: string;
}

/** One setting of a file, and where it stands. */
export interface Property {
  readonly key: string;
  readonly value: string;
  /** From 1; the first line of a setting that goes over several. */
  readonly line: number;
}

/** A line of a properties file that cannot be read. */
export class PropertiesError extends Error {
  override readonly name = "PropertiesError";
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

/**
 * Reads a `.properties` file by the rules of java.util.Properties: `#` and `!` comments, `=`, `:` or a
 * blank after the key, a backslash at the end continues the line, \t \n \r \f \uXXXX. A value's
 * trailing blanks are kept by Java and cut by Kafka's parsers; they are cut here.
 */
export function parseProperties(text: string): readonly Property[] {
  const properties: Property[] = [];
  for (const { content, line } of logicalLines(text)) {
    const { key, rest } = splitKey(content);
    properties.push({
      key: unescape(key, line),
      value: unescape(rest, line).trimEnd(),
      line,
    });
  }
  return properties;
}

interface LogicalLine {
  readonly content: string;
  readonly line: number;
}

function* logicalLines(text: string): Generator<LogicalLine> {
  const lines = text.split(/\r\n|\n|\r/);
  for (let index = 0; index < lines.length; index += 1) {
    const first = index;
    let content = (lines[index] ?? "").replace(/^[ \t\f]+/, "");
    // A comment does not continue, even when it ends in a backslash.
    if (content === "" || content.startsWith("#") || content.startsWith("!")) continue;
    while (endsInContinuation(content)) {
      content = content.slice(0, -1);
      index += 1;
      if (index >= lines.length) break;
      content += (lines[index] ?? "").replace(/^[ \t\f]+/, "");
    }
    if (content !== "") yield { content, line: first + 1 };
  }
}

function endsInContinuation(content: string): boolean {
  const backslashes = /\\*$/.exec(content)?.[0].length ?? 0;
  return backslashes % 2 === 1;
}

function splitKey(content: string): { readonly key: string; readonly rest: string } {
  const match = /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)$/s.exec(content);
  return { key: match?.[1] ?? content, rest: match?.[2] ?? "" };
}

const ESCAPES: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" };

function unescape(text: string, line: number): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|.|$)/gs, (_all, code: string) => {
    if (code.length === 5) return String.fromCharCode(parseInt(code.slice(1), 16));
    if (code === "u") throw new PropertiesError(line, "\\u needs four hexadecimal digits");
    return ESCAPES[code] ?? code;
  });
}
