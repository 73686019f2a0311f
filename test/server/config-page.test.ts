import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { configurationPage } from "../../src/server/config-page.ts";

test("docs/configuration.md says what the table of settings says", () => {
  const path = "docs/configuration.md";
  if (process.env["UPDATE"] === "1") writeFileSync(path, configurationPage());
  expect(readFileSync(path, "utf8")).toBe(configurationPage());
});
