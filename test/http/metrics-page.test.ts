/** `docs/metrics.md` has every metric of a node. */
import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"

it("each metric is documented, and each documented one exists", () => {
  const files = readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/^(actors|cli)\//.test(name))
  const named = (text: string, quote: string): ReadonlyArray<string> =>
    [...text.matchAll(new RegExp(`${quote}(flaredb_[a-z0-9_]+)${quote}`, "g"))].map(([, name]) => name as string)
  const found = new Set(files.flatMap((name) => named(readFileSync(`src/${name}`, "utf8"), "\"")))
  const documented = new Set(named(readFileSync("docs/metrics.md", "utf8"), "`"))
  assert.isAbove(found.size, 20)
  assert.deepStrictEqual([...documented].sort(), [...found].sort())
})
