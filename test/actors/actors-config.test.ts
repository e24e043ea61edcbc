/** Where the settings of the actors' layers come from, and what is refused. */
import { assert, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect } from "effect"
import type { StorageOptions } from "../../src/actors/Actors.ts"
import { shardingConfig, withVariables } from "../../src/actors/ActorsConfig.ts"

const environment = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

it.effect("an option comes first, then the variable", () =>
  Effect.gen(function*() {
    const options: StorageOptions = { cluster: "mine", keepProcessedFor: undefined, sharding: { shardsPerGroup: 7 } }
    const all = yield* withVariables(options).pipe(
      environment({
        FLAREDB_ACTORS_PREFIX: "p/",
        FLAREDB_ACTORS_CLUSTER: "theirs",
        FLAREDB_ACTORS_KEEP_PROCESSED_FOR: "2 days",
        FLAREDB_ACTORS_SHARD_LOCK_EXPIRATION: "8 seconds"
      })
    )
    assert.deepInclude(all, { cluster: "mine", prefix: "p/", keepProcessedFor: Duration.days(2) })
    assert.deepStrictEqual(all.sharding, { shardsPerGroup: 7, shardLockExpiration: Duration.seconds(8) })
    const none: StorageOptions = yield* withVariables({}).pipe(environment({}))
    assert.deepStrictEqual(none, { sharding: {} })
  }))

it.effect("a bad value is a typed error that names field, value and variable", () =>
  Effect.gen(function*() {
    const bad = yield* Effect.flip(
      withVariables({ cluster: "" }).pipe(environment({
        FLAREDB_ACTORS_KEEP_PROCESSED_FOR: "soon",
        FLAREDB_ACTORS_REFRESH_ASSIGNMENTS_INTERVAL: "-1 seconds"
      }))
    )
    assert.strictEqual(bad._tag, "InvalidConfig")
    for (
      const part of [
        "keepProcessedFor",
        `"soon"`,
        "FLAREDB_ACTORS_REFRESH_ASSIGNMENTS_INTERVAL",
        "FLAREDB_ACTORS_CLUSTER"
      ]
    ) {
      assert.include(bad.message, part)
    }
    const late = yield* Effect.flip(shardingConfig({ shardLockExpiration: "2 seconds" }))
    assert.strictEqual(late._tag, "InvalidConfig")
    assert.include(late.message, "shardLockRefreshInterval: 1000 ms; it must be shorter than half")
    const short = yield* Effect.flip(shardingConfig({ shardLockExpiration: 500, shardLockRefreshInterval: 100 }))
    assert.include(short.message, "shardLockExpiration")
    yield* shardingConfig({ shardLockExpiration: "3 seconds", shardLockRefreshInterval: "1 second" })
  }))
