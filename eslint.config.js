import js from "@eslint/js";
import tseslint from "typescript-eslint";

/** Who may import whom: design.md, section 1. `test/tidy.test.ts` checks the same from the files. */
const LAYERS = {
  base: ["base"],
  protocol: ["base", "protocol"],
  storage: ["base", "protocol", "storage"],
  raft: ["base", "protocol", "storage", "raft"],
  replica: ["base", "protocol", "storage", "replica"],
  server: ["base", "protocol", "storage", "raft", "replica", "server"],
};
const FOLDERS = ["base", "protocol", "storage", "raft", "replica", "server", "sim"];

const PORT_GLOBALS = [
  "setTimeout",
  "setInterval",
  "setImmediate",
  "clearTimeout",
  "clearInterval",
  "clearImmediate",
  "performance",
  "fetch",
].map((name) => ({ name, message: "Time and network come through the ports in src/base." }));

const layerRules = Object.entries(LAYERS).map(([folder, allowed]) => ({
  files: [`src/${folder}/**/*.ts`],
  rules: {
    "no-restricted-imports": [
      "error",
      {
        patterns: FOLDERS.filter((other) => !allowed.includes(other)).map((other) => ({
          group: [`**/${other}/**`],
          message: `src/${folder} must not import src/${other} (design.md, section 1).`,
        })),
      },
    ],
  },
}));

export default tseslint.config(
  { ignores: ["dist", "coverage", "node_modules", "test/peers", "test/golden", "data"] },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      eqeqeq: "error",
      "no-implied-eval": "error",
    },
  },
  {
    files: ["src/**/*.ts"],
    rules: {
      "max-lines": ["error", { max: 400, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
      complexity: ["error", 12],
      "no-restricted-globals": ["error", ...PORT_GLOBALS],
      "no-restricted-properties": [
        "error",
        { object: "Date", property: "now", message: "Use Clock." },
        { object: "Math", property: "random", message: "Use Random." },
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: "Use Clock.",
        },
        { selector: "ExportDefaultDeclaration", message: "No default exports." },
        { selector: "ExportAllDeclaration", message: "No barrels." },
      ],
    },
  },
  ...layerRules,
  {
    files: ["src/base/clock.ts"],
    rules: { "no-restricted-globals": "off", "no-restricted-properties": "off" },
  },
  {
    files: ["test/**/*.ts", "examples/**/*.ts"],
    rules: { "@typescript-eslint/no-non-null-assertion": "off" },
  },
  {
    files: ["**/*.{js,mjs,cjs}", "bin/*"],
    languageOptions: {
      globals: {
        process: "readonly",
        console: "readonly",
        require: "readonly",
        module: "readonly",
      },
    },
  },
);
