/** How much of the log may go: plain arithmetic on what was applied. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { LogMeter } from "../../src/node/LogMeter.ts"
import { entryBytes } from "../../src/raft/Config.ts"
import type { Entry } from "../../src/raft/Types.ts"
import { LogIndex } from "../../src/raft/Types.ts"
import { sampleEntry } from "../../src/testing/LogStoreSuite.ts"

const entries = (from: number, through: number, size = 10): Array<Entry> =>
  Array.from({ length: through - from + 1 }, (_, i) => sampleEntry(from + i, 1, "x".repeat(size)))

const fresh = (limits: { maxLogEntries?: number; maxLogBytes?: number; logSlackEntries?: number }) =>
  new LogMeter(
    { maxLogEntries: 1_000_000, maxLogBytes: 1_000_000_000, logSlackEntries: 1, ...limits },
    { compacted: LogIndex(0), lastIndex: LogIndex(0), bytes: 0 },
    LogIndex(0)
  )

describe("a log meter", () => {
  it("is over when entries or bytes are, and not before", () => {
    const byEntries = fresh({ maxLogEntries: 100 })
    byEntries.applied(entries(1, 100))
    assert.isFalse(byEntries.isOver())
    byEntries.applied(entries(101, 101))
    assert.isTrue(byEntries.isOver())
    assert.isFalse(byEntries.isOver(2))
    const byBytes = fresh({ maxLogBytes: 10_000 })
    byBytes.applied(entries(1, 9, 1_000))
    assert.isFalse(byBytes.isOver())
    byBytes.applied(entries(10, 10, 1_000))
    assert.isTrue(byBytes.isOver())
  })

  it("leaves the slack, and what is over half of the bytes goes although it is slack", () => {
    const meter = fresh({ maxLogEntries: 320, logSlackEntries: 100 })
    meter.applied(entries(1, 321))
    const kept = 321 - meter.excess()
    assert.isAtLeast(kept, 100)
    assert.isAtMost(kept, 110)
    const heavy = fresh({ maxLogBytes: 100_000, logSlackEntries: 1_000 })
    heavy.applied(entries(1, 100, 1_000))
    assert.isAtMost((100 - heavy.excess()) * 1_032, 50_000 + 100_000 / 32 + 1_032)
  })

  it("counts an entry once, however often it is told of it", () => {
    const meter = fresh({ maxLogEntries: 10 })
    for (let times = 0; times < 5; times++) meter.applied(entries(1, 8))
    assert.strictEqual(meter.entries, 8)
  })

  it("knows at the start what the disk holds, and takes its bytes to be spread evenly", () => {
    const meter = new LogMeter(
      { maxLogEntries: 1_000_000, maxLogBytes: 100_000, logSlackEntries: 100 },
      { compacted: LogIndex(1_000), lastIndex: LogIndex(3_000), bytes: 200_000 },
      LogIndex(2_000)
    )
    assert.strictEqual(meter.entries, 1_000)
    meter.applied(entries(2_001, 2_001))
    assert.isTrue(meter.isOver())
    assert.isAtLeast(meter.excess(), 1_500)
    assert.isAtMost(meter.excess(), 1_900)
  })

  it("goes on behind a snapshot as if everything before had been applied", () => {
    const meter = fresh({ maxLogEntries: 10 })
    meter.applied(entries(1, 5))
    meter.compacted(LogIndex(500))
    assert.strictEqual(meter.entries, 0)
    meter.applied(entries(501, 511))
    assert.isTrue(meter.isOver())
    assert.isAbove(meter.excess(), 500)
  })

  it.prop(
    "never lets go what it must keep, and comes down below its limits",
    [Schema.Array(Schema.Int), Schema.Int, Schema.Int],
    ([sizes, one, other]) => {
      const maxLogEntries = 2 + Math.abs(one) % 50
      const maxLogBytes = 500 + Math.abs(other) % 5_000
      const logSlackEntries = 1 + Math.abs(one + other) % (maxLogEntries - 1)
      const meter = fresh({ maxLogEntries, maxLogBytes, logSlackEntries })
      const log: Array<Entry> = []
      for (const size of sizes) {
        const entry = sampleEntry((log[log.length - 1]?.index ?? 0) + 1, 1, "x".repeat(Math.abs(size) % 300))
        log.push(entry)
        meter.applied([entry])
        if (!meter.isOver()) continue
        const through = meter.excess()
        const last = log[log.length - 1] as Entry
        assert.isBelow(through, last.index)
        const kept = log.filter(({ index }) => index > through)
        const bytes = kept.reduce((sum, held) => sum + entryBytes(held), 0)
        assert.isTrue(kept.length >= logSlackEntries || bytes > maxLogBytes / 2 - 2 * (maxLogBytes / 32 + 332))
        meter.compacted(through)
        assert.strictEqual(meter.entries, kept.length)
        assert.isFalse(meter.isOver() && kept.length > 12)
        log.splice(0, log.length - kept.length)
      }
    }
  )
})
