/** Flags, variables and programs reach every setting of the tables, and nothing else. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { fromEnv } from "../../src/config/Variables.ts"
import { make } from "../../src/config/FlareDbConfig.ts"
import { defaultLimits, limitNames, limitSettings } from "../../src/config/Limits.ts"
import type { IntegerSetting } from "../../src/config/Setting.ts"
import { flagOf, formatValue, integerProblem, variableOf } from "../../src/config/Setting.ts"
import { unknownVariables } from "../../src/config/UnknownVariables.ts"
import { nodeVariables } from "../../src/config/Variables.ts"

const from = (env: Record<string, string>) =>
  Effect.provideService(fromEnv, ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

describe("settings", () => {
  it.effect("every limit can be set by its variable", () =>
    Effect.gen(function*() {
      // Another value than the default, which every limit takes beside the others.
      const other = (name: (typeof limitNames)[number]) => defaultLimits[name] - 1
      const env = Object.fromEntries(limitNames.map((name) => [variableOf(name), String(other(name))]))
      const { limits } = yield* from({ FLAREDB_NODE_ID: "1", ...env })
      for (const name of limitNames) assert.strictEqual(limits[name], other(name), name)
    }))

  it.effect("every limit is refused below its minimum and above its maximum, by name", () =>
    Effect.gen(function*() {
      for (const name of limitNames) {
        const { maximum, minimum }: IntegerSetting = limitSettings[name]
        const wrong = [minimum - 1, minimum + 0.5, Number.NaN, ...maximum === undefined ? [] : [maximum + 1]]
        for (const value of wrong) {
          const { problems } = yield* Effect.flip(make({ nodeId: 1, limits: { [name]: value } }))
          assert.include(problems.map(({ field }) => field), `limits.${name}`, `${value}`)
        }
      }
    }))

  it.effect("a limit that there is not is refused", () =>
    Effect.gen(function*() {
      const limits = { maxWatchers: 3 } as Partial<typeof defaultLimits>
      const { problems } = yield* Effect.flip(make({ nodeId: 1, limits }))
      assert.deepStrictEqual(problems.map(({ field }) => field), ["limits.maxWatchers"])
    }))

  it("names flags and variables after the settings", () => {
    assert.strictEqual(flagOf("maxLogBytes"), "max-log-bytes")
    assert.strictEqual(variableOf("maxLogBytes"), "FLAREDB_MAX_LOG_BYTES")
    assert.strictEqual(new Set(nodeVariables).size, nodeVariables.length)
    assert.includeMembers([...nodeVariables], ["FLAREDB_NODE_ID", "FLAREDB_NODES", "FLAREDB_UNSAFE_NO_FSYNC"])
  })

  it("writes values in the largest unit of which they are a whole number", () => {
    assert.strictEqual(formatValue("bytes", 64 * 1024 * 1024), "64 MiB")
    assert.strictEqual(formatValue("bytes", 1_000), "1,000 bytes")
    assert.strictEqual(formatValue("milliseconds", 90_000), "90 s")
    assert.strictEqual(formatValue("milliseconds", 7 * 86_400_000), "7 days")
    assert.strictEqual(formatValue("milliseconds", 0), "0")
    assert.strictEqual(formatValue("milliseconds", 86_400_000), "1 day")
    assert.strictEqual(formatValue("milliseconds", 1), "1 ms")
    assert.strictEqual(formatValue("bytes", 1), "1 byte")
    assert.strictEqual(formatValue("count", 1_000_000), "1,000,000")
  })

  it("bounds integers at both ends", () => {
    const setting: IntegerSetting = { unit: "count", default: 5, minimum: 2, maximum: 9, text: "" }
    for (const value of [2, 5, 9]) assert.isUndefined(integerProblem(setting, value))
    assert.strictEqual(integerProblem(setting, 10), "must be an integer from 2 to 9, got 10")
  })

  it("finds variables that nothing reads, and leaves alone what others put there", () => {
    const env = Object.fromEntries([...nodeVariables, "FLAREDB_ENDPOINTS"].map((name) => [name, "1"]))
    assert.deepStrictEqual(unknownVariables(env), [])
    assert.deepStrictEqual(unknownVariables({ ...env, FLAREDB_MAX_WATCHERS: "1", FLAREDB_NODEID: "1", OTHER: "1" }), [
      "FLAREDB_MAX_WATCHERS",
      "FLAREDB_NODEID"
    ])
    const beside = [
      "FLAREDB_SERVICE_HOST",
      "FLAREDB_SERVICE_PORT",
      "FLAREDB_SERVICE_PORT_CLIENT",
      "FLAREDB_PORT",
      "FLAREDB_PORT_7001_TCP",
      "FLAREDB_PORT_7001_TCP_ADDR",
      "FLAREDB_PEERS_SERVICE_HOST",
      "FLAREDB_ACTORS_PREFIX"
    ]
    assert.deepStrictEqual(unknownVariables(Object.fromEntries(beside.map((name) => [name, "1"]))), [])
  })
})
