/** The rules for Prometheus and the dashboard: valid, tested, and each alert explained. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { actorRules, dashboard, expressionsOf, metricsIn, nodeRules, ofSchedules, panels } from "./Dashboard.ts"
import { promtool, promtoolMissing } from "./Promtool.ts"

const root = join(import.meta.dirname, "../../..")
const read = (path: string): string => readFileSync(join(root, path), "utf8")

const files = {
  "flaredb": { rules: nodeRules, tests: read("deploy/prometheus/tests/flaredb.test.yml") },
  "actors": { rules: actorRules, tests: read("deploy/prometheus/tests/actors.test.yml") }
}

interface Alert {
  readonly name: string
  readonly text: string
}

const alertsIn = (rules: string): ReadonlyArray<Alert> =>
  rules.split("- alert: ").slice(1).map((text) => ({ name: text.slice(0, text.indexOf("\n")), text }))

const alerts = [...alertsIn(nodeRules), ...alertsIn(actorRules)]

describe.skipIf(promtoolMissing !== undefined)(
  `Prometheus${promtoolMissing === undefined ? "" : ` (skipped: ${promtoolMissing})`}`,
  () => {
    for (const name of Object.keys(files)) {
      it(`takes the rules of ${name}, and they fire when they should`, () => {
        const check = promtool(["check", "rules", `deploy/prometheus/${name}.rules.yml`])
        assert.strictEqual(check.code, 0, check.text)
        const tests = promtool(["test", "rules", `deploy/prometheus/tests/${name}.test.yml`])
        assert.strictEqual(tests.code, 0, tests.text)
        assert.match(tests.text, /SUCCESS$/)
      })
    }

    it("takes every expression of the dashboard", () => {
      const folder = mkdtempSync(join(tmpdir(), "flaredb-dashboard-"))
      try {
        const rules = panels().flatMap(expressionsOf)
          .map((expr, i) => `      - record: dashboard:${i}\n        expr: ${JSON.stringify(expr)}\n`)
        assert.isAbove(rules.length, 30)
        const path = join(folder, "dashboard.rules.yml")
        writeFileSync(path, `groups:\n  - name: dashboard\n    rules:\n${rules.join("")}`)
        const check = promtool(["check", "rules", path])
        assert.strictEqual(check.code, 0, check.text)
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })
  }
)

describe("an alert", () => {
  it.each(alerts)("$name says how urgent it is, and what it is about at 3 a.m.", ({ name, text }) => {
    assert.match(text, /^ {10}severity: (?:critical|warning)$/m)
    for (const annotation of ["summary", "description", "runbook"]) {
      assert.match(text, new RegExp(`^ {10}${annotation}: \\S`, "m"), annotation)
    }
    assert.include(text, `runbook: docs/alerts.md#${name.toLowerCase()}\n`)
    const [, section] = read("docs/alerts.md").split(`\n### ${name}\n`)
    for (const part of ["Means", "Look at", "Do"]) {
      assert.match(section?.split("\n#")[0] ?? "", new RegExp(`^- \\*\\*${part}\\*\\* \\S`, "m"), part)
    }
  })

  it("that is explained exists", () => {
    const explained = [...read("docs/alerts.md").matchAll(/^### (\w+)$/gm)].map(([, name]) => name as string)
    assert.sameMembers(explained, alerts.map(({ name }) => name))
  })

  it("is tested: some series let it fire, and others do not", () => {
    for (const { rules, tests } of Object.values(files)) {
      for (const { name } of alertsIn(rules)) assert.include(tests, name)
      // Every case names all that fires in it, so each of them is a test that the others do not.
      assert.isAbove([...tests.matchAll(/exp_samples: \[\]/g)].length, 1)
    }
  })
})

describe("the dashboard", () => {
  it("and the rules ask for metrics that are documented", () => {
    const documented = metricsIn(read("docs/metrics.md"))
    const unknown = [...metricsIn(`${nodeRules}\n${dashboard}`)]
      .filter((name) => !documented.has(name) && !ofSchedules.has(name))
    assert.deepStrictEqual(unknown, [])
  })

  it("has panels that do not overlap, each with a title of its own", () => {
    const all = panels()
    assert.strictEqual(new Set(all.map(({ title }) => title)).size, all.length)
    const taken = new Set<string>()
    for (const { gridPos: { h, w, x, y }, title } of all) {
      assert.isAtMost(x + w, 24, title)
      for (let column = x; column < x + w; column++) {
        for (let row = y; row < y + h; row++) {
          assert.isFalse(taken.has(`${column} ${row}`), title)
          taken.add(`${column} ${row}`)
        }
      }
    }
  })
})
