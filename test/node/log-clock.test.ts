/** The clock of the log: it goes on, never back, and leaves out what the process did not live through. */
import { assert, it } from "@effect/vitest"
import { LogClock } from "../../src/node/LogClock.ts"

const make = (startMs = 1_000) => {
  const process = { ms: 50 }
  const clock = new LogClock({ startMs, knowsTime: true, monotonicMs: () => process.ms, maxStepMs: 500 })
  return { clock, process }
}

it("goes on with the process's clock from where the log ends", () => {
  const { clock, process } = make()
  process.ms += 10
  assert.strictEqual(clock.now(), 1_010)
  process.ms += 0.6
  assert.strictEqual(clock.now(), 1_010)
  process.ms += 0.6
  assert.strictEqual(clock.now(), 1_011, "fractions add up")
})

it("follows a leader that is ahead, and goes on from there", () => {
  const { clock, process } = make()
  clock.observe(5_000, false)
  process.ms += 20
  assert.strictEqual(clock.now(), 5_020)
})

it("of a leader does not go back for an entry that took long to be applied", () => {
  const { clock, process } = make()
  clock.observe(5_000, false)
  process.ms += 100
  clock.observe(5_050, true)
  assert.strictEqual(clock.now(), 5_100)
})

it("of a follower that runs fast does not get ahead of its leader's by more and more", () => {
  const { clock, process } = make()
  for (let leaderMs = 5_000; leaderMs <= 1_000_000; leaderMs += 100) {
    clock.observe(leaderMs, false)
    // One part in a hundred too fast.
    process.ms += 101
  }
  assert.isAtMost(clock.now(), 1_000_101)
})

it("takes an entry without a timestamp for none", () => {
  const { clock } = make()
  clock.observe(5_000, false)
  clock.observe(0, false)
  assert.strictEqual(clock.now(), 5_000)
})

it("does not count a time in which the process was stopped", () => {
  const { clock, process } = make()
  clock.now()
  process.ms += 10_000
  assert.strictEqual(clock.now(), 1_500)
  process.ms += 10
  assert.strictEqual(clock.now(), 1_510)
})
