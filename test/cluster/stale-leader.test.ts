/** A leader that was suspended meets a node that lost its disk, with clients at work. `npm run test:chaos` does it again and again. */
import { assert, it } from "vitest"
import type { FaultName } from "../chaos/Faults.ts"
import { inflict } from "../chaos/Faults.ts"
import { run } from "../chaos/Run.ts"

const tell = async (fault: FaultName) => {
  const notes: Array<string> = []
  const { lines, logs, problems, writes } = await run({
    seed: 1,
    name: fault,
    command: `npm run test:chaos -- --times 1 --faults ${fault}`,
    note: (line) => notes.push(line),
    clients: 2,
    fibers: 4,
    stale: false,
    small: false,
    scenario: async ({ nextAnswer, site, victims }) => {
      await inflict(fault, victims)
      site.network.heal()
      await nextAnswer(`after ${fault} was over`)
    }
  })
  if (problems.length > 0) process.stderr.write([...notes, ...logs, ...lines, ""].join("\n"))
  assert.deepStrictEqual(problems, [])
  assert.isAbove(writes, 0)
}

it("a stale leader and a node without its disk answer nothing while the new leader is down", () =>
  tell("stale-leader-killed"))

it("a stale leader and a node without its disk answer nothing while the new leader is cut off", () =>
  tell("stale-leader-cut-off"))
