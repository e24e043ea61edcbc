/** Text that is read is the text that was written: by default a `TextDecoder` leaves out a first U+FEFF. */
import { assert, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"

/** What is in the log and in rows is read as earlier releases read it. Names there have ASCII alone. */
const ofFormats = /^src\/(?:kv\/model|machine)\//

it("no decoder leaves out the mark of byte order", () => {
  const wrong = globSync(["src/**/*.ts", "console/**/*.{ts,tsx}"]).filter((file) =>
    !ofFormats.test(file) &&
    /new TextDecoder\((?!"utf-8", \{ (?:fatal: true, )?ignoreBOM: true \}\))/.test(readFileSync(file, "utf8"))
  )
  assert.deepStrictEqual(wrong, [])
})
