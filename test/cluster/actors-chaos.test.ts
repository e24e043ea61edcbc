/**
 * Actors on three nodes under one fault of each kind, with clients at work: every message takes effect once, and none by
 * a runner that lost the shard. `npm run chaos:actors` is the same for as long as one likes.
 */
import { assert, it } from "@effect/vitest"
import { inflict } from "../chaos/actors/Faults.ts"
import { run } from "../chaos/actors/Run.ts"
import { waitMs } from "../Eventually.ts"
import { figure } from "./Figures.ts"

it(
  "messages are neither lost nor doubled by runners and nodes that die, stop, are cut off, join and leave",
  async () => {
    const beganMs = performance.now()
    const { effects, lines, problems } = await run({
      seed: 13,
      runners: 2,
      entities: 24,
      inFlight: 8,
      // As many as can be counted on a busy machine: `npm run chaos:actors` has more.
      perSecond: 20,
      note: () => {},
      // Half of what the test has: while a machine is very busy, runners give their shards up and take them again.
      limitMs: waitMs() / 2,
      sampleMs: 60_000,
      scenario: async (stage) => {
        for (
          const fault of [
            "runner-stopped",
            "runner-cut-off",
            "runner-and-leader-killed",
            "runner-joins",
            "runners-rolled",
            "nodes-rolled"
          ] as const
        ) {
          await inflict(fault, stage, false)
          await stage.everyEntityAnswers(`after ${fault}`)
          assert.deepStrictEqual(stage.surprises(), [], fault)
        }
      }
    })
    assert.deepStrictEqual(problems, [], lines.join("\n"))
    const seconds = ((performance.now() - beganMs) / 1_000).toFixed(0)
    figure(
      `${effects} messages of actors took effect once under six kinds of faults in ${seconds} s`
    )
  },
  600_000
)
