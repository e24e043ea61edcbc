import { assert, it } from "@effect/vitest"
import { KeptLog } from "./KeptLog.ts"

it("a place in a kept log stays right when old lines go", () => {
  const log = new KeptLog(3)
  for (const line of ["a", "b", "c"]) log.add(line)
  const place = log.end
  assert.deepStrictEqual(log.since(place), [])
  log.add("d")
  assert.deepStrictEqual(log.lines, ["b", "c", "d"])
  assert.deepStrictEqual(log.since(place), ["d"])
  for (const line of ["e", "f", "g"]) log.add(line)
  assert.deepStrictEqual(log.since(place), ["e", "f", "g"], "what is kept of them")
  log.clear()
  log.add("h")
  assert.deepStrictEqual(log.since(place), ["h"])
})
