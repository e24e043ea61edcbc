/** What earlier releases say to clients and peers is read by this one, and says the same. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import type { KeptCall } from "./KeptCalls.ts"
import { callsOfThisRelease, readCall } from "./KeptCalls.ts"

const root = "test/data"

const kept = readdirSync(root).map((release) => [release, `${root}/${release}/calls.json`] as const)
  // The first directory that was kept has none.
  .filter(([, file]) => existsSync(file))

/** Each part of each call, in order. */
const parts = (calls: ReadonlyArray<KeptCall>): ReadonlyArray<string> =>
  [...new Set(calls.map(({ call, part }) => `${call} ${part}`))].toSorted()

describe.each(kept)("the calls of %s", (_, file) => {
  const calls = JSON.parse(readFileSync(file, "utf8")) as ReadonlyArray<KeptCall>

  it.each(parts(calls))("%s is read, field by field", (named) => {
    for (const one of calls.filter(({ call, part }) => `${call} ${part}` === named)) {
      assert.deepStrictEqual(readCall(one), one.says, one.frame)
    }
  })
})

it("are calls of every kind", () => {
  const now = parts(callsOfThisRelease())
  for (const part of ["client.Write payload", "client.Write error", "peer.Deliver payload", "state.HashState chunk"]) {
    assert.include(now, part)
  }
  assert.isAbove(kept.length, 0)
})
