/** What a process says of itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric } from "effect"
import { TestClock } from "effect/testing"
import * as ProcessMetrics from "../../src/http/ProcessMetrics.ts"
import { growing, RecentMaximum } from "../../src/http/ProcessMetrics.ts"
import { version } from "../../src/Version.ts"

describe("the process", () => {
  it.effect("shows its build, start, processor time, memory and the delay of its event loop, in base units", () =>
    Effect.gen(function*() {
      yield* Layer.build(Layer.fresh(ProcessMetrics.layer))
      yield* TestClock.adjust("6 seconds")
      const metrics = yield* Metric.snapshot
      const values = (id: string): ReadonlyArray<number> =>
        metrics.filter((metric) => metric.id === id).map(({ state }) => {
          const { count, value } = state as { readonly count?: number; readonly value?: number }
          return count ?? value ?? Number.NaN
        })
      const build = metrics.find(({ id }) => id === "flaredb_build_info")
      assert.deepStrictEqual(build?.attributes, { version, node: process.versions.node })
      const [startedAt = 0] = values("flaredb_process_start_time_seconds")
      const startMs = Date.now() - process.uptime() * 1_000
      assert.isAtMost(Math.abs(startedAt * 1_000 - startMs), process.uptime() * 1_000 + 1_000)
      const [user = 0, system = 0] = values("flaredb_process_cpu_seconds_total")
      const used = process.cpuUsage()
      assert.isAtMost(user + system, (used.user + used.system) / 1e6)
      assert.isAbove(user + system, 0)
      const [limit = 0] = values("flaredb_process_heap_limit_bytes")
      const [heap = 0] = values("flaredb_process_heap_bytes")
      const [resident = 0] = values("flaredb_process_resident_memory_bytes")
      assert.isBelow(heap, limit)
      assert.isAbove(resident, 10 * 1024 * 1024)
      for (const statistic of ["mean", "p99", "max"]) {
        assert.lengthOf(values(`flaredb_event_loop_delay_${statistic}_seconds`), 1)
      }
      assert.isAbove(values("flaredb_event_loop_active_seconds_total")[0] ?? 0, 0)
    }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map())))

  it("remembers the longest delay for six samples", () => {
    const recent = new RecentMaximum()
    assert.deepStrictEqual([5, 1, 1, 1, 1, 1, 1, 2].map((value) => recent.add(value)), [5, 5, 5, 5, 5, 5, 1, 2])
  })

  it("counts what a value has grown by, and nothing when it fell", () => {
    const added: Array<number> = []
    const seen = growing((by) => added.push(by))
    for (const value of [3, 3, 5, 4, 6]) seen(value)
    assert.deepStrictEqual(added, [3, 2, 2])
  })
})
