/** Every file under `scenarios/` must read exactly as what happens. See `Scenario.ts` for how to rewrite them. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { playScenario } from "./Scenario.ts"

const folder = new URL("scenarios/", import.meta.url)
const files = readdirSync(folder).filter((name) => name.endsWith(".txt")).toSorted()

describe("scenarios", () => {
  it("are there", () => assert.isAtLeast(files.length, 12))

  for (const name of files) {
    it(name, () => {
      const file = new URL(name, folder)
      const text = readFileSync(file, "utf8")
      const played = playScenario(text)
      if (process.env["UPDATE_SCENARIOS"] === "1") writeFileSync(file, played)
      else assert.strictEqual(text, played)
    })
  }
})
