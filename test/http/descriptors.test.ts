import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { PrometheusMetrics } from "effect/observability"
import { clientPortConnections, defaultLimits, httpProbeConnections } from "../../src/config/Limits.ts"
import { layerMetrics, limitOf, minDescriptors, share } from "../../src/http/Descriptors.ts"

const all = (limits: typeof defaultLimits): number =>
  clientPortConnections(limits.maxClientConnections) + limits.maxPeerConnections + limits.maxHttpConnections +
  httpProbeConnections

describe("descriptors", () => {
  it("are enough for every limit, and for all tables, where there are many", () => {
    assert.deepStrictEqual(share(defaultLimits, 65_536), { limits: defaultLimits, maxOpenTables: 992 })
  })

  it("go to the configured connections as long as these leave the store a share", () => {
    const few = { ...defaultLimits, maxClientConnections: 100 }
    const { limits, maxOpenTables = 0 } = share(few, 1_024)
    assert.deepStrictEqual(limits, few)
    assert.isAtLeast(maxOpenTables, 100)
  })

  it("are never promised twice, whatever their number, and leave each port and the store some", () => {
    // One comparison for all: thousands of assertions took longer than what they looked at.
    const wrong: Array<number> = []
    for (let available = minDescriptors; available < 8_000; available++) {
      const { limits, maxOpenTables } = share(defaultLimits, available)
      const { maxClientConnections, maxHttpConnections, maxPeerConnections } = limits
      const isEnough = available - all(limits) - 64 >= (maxOpenTables ?? 1_000) + 24 &&
        (maxOpenTables ?? 1_000) >= 32 && maxClientConnections >= 16 && maxPeerConnections >= 16 &&
        maxHttpConnections >= 8
      const isWithin = maxClientConnections <= defaultLimits.maxClientConnections &&
        maxPeerConnections <= defaultLimits.maxPeerConnections &&
        maxHttpConnections <= defaultLimits.maxHttpConnections
      if (!isEnough || !isWithin) wrong.push(available)
    }
    assert.deepStrictEqual(wrong, [], "numbers of descriptors that are shared out wrongly")
  })

  it("never raise a limit", () => {
    const least = { ...defaultLimits, maxClientConnections: 3_000, maxPeerConnections: 2, maxHttpConnections: 1 }
    const { limits } = share(least, 256)
    assert.deepInclude(limits, { maxPeerConnections: 2, maxHttpConnections: 1 })
  })

  it("are read from what the system says of the process", () => {
    const line = "Max open files            1024                 524288               files     \n"
    assert.strictEqual(limitOf(`Limit  Soft Limit  Hard Limit  Units\nMax processes  7  7  processes\n${line}`), 1_024)
    assert.isUndefined(limitOf("Max open files            unlimited            unlimited            files"))
  })

  it.live("are counted in the metrics, beside their limit", () =>
    Effect.provide(
      Effect.gen(function*() {
        const text = yield* Effect.repeat(PrometheusMetrics.format(), {
          schedule: Schedule.spaced(10),
          until: (text) => /process_open_descriptors \d/.test(text)
        })
        const figure = (name: string) =>
          Number(new RegExp(`^flaredb_process_${name}_descriptors (\\d+)`, "m").exec(text)?.[1])
        assert.isAtLeast(figure("open"), 3)
        assert.isAbove(figure("max"), figure("open"))
      }),
      layerMetrics
    ))
})
