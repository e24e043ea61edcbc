/** `docs/configuration.md` and `docs/limits.md` say what the tables of settings say. `npm run golden` writes the former. */
import { assert, it } from "@effect/vitest"
import { readFileSync, writeFileSync } from "node:fs"
import { configurationPage } from "./ConfigurationPage.ts"
import { limitNames, limitSettings } from "../../src/config/Limits.ts"
import type { IntegerSetting } from "../../src/config/Setting.ts"
import { formatValue } from "../../src/config/Setting.ts"

const introduction = `# Every setting of a node

A node takes each of these as a flag of \`flaredb start\`, as a variable, or as a field in a program
(\`FlareDb.layer({ nodeId: 1, limits: { maxWatches: 100 } })\`); a flag wins over its variable. \`flaredb config check\` takes the
same flags and variables, and prints the whole configuration or everything that is wrong with it. A variable \`FLAREDB_…\` that
nothing reads is an error there, and a warning when a node starts.

This page is made from the tables in \`src/config/\`.
`

it("docs/configuration.md is made from the tables of settings", () => {
  const page = configurationPage(introduction)
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync("docs/configuration.md", page)
  assert.strictEqual(readFileSync("docs/configuration.md", "utf8"), page)
})

it("docs/limits.md names the default of each limit", () => {
  const page = readFileSync("docs/limits.md", "utf8")
  let named = 0
  for (const name of limitNames) {
    const setting: IntegerSetting = limitSettings[name]
    // A number behind a sum is not the default of its last part.
    for (const [, said] of page.matchAll(new RegExp(`(?<!\\+ )\\b${name} \\(([^)]+)\\)`, "g"))) {
      named += 1
      assert.strictEqual(said, formatValue(setting.unit, setting.default), name)
    }
  }
  assert.isAbove(named, 20)
})
