/** Callers whose cluster or prefix no runner has. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, References } from "effect"
import { Runner, RunnerAddress, RunnerStorage, ShardingConfig } from "effect/cluster"
import { TestClock } from "effect/testing"
import type { ClusterName } from "../../../src/actors/cluster/ClusterKeys.ts"
import { HeldShards } from "../../../src/actors/cluster/HeldShards.ts"
import * as Locks from "../../../src/actors/cluster/RunnerStorage.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import * as FlareDb from "../../../src/FlareDb.ts"

const storageOf = (name: ClusterName) =>
  Effect.map(
    Layer.build(Layer.fresh(
      Locks.layer(name).pipe(
        Layer.provide(Layer.merge(HeldShards.layer, ShardingConfig.layer()))
      )
    )),
    (context) => Effect.provide(RunnerStorage.RunnerStorage, context)
  ).pipe(Effect.flatten)

const runner = Runner.make({ address: RunnerAddress.make("10.0.0.7", 34431), groups: ["default"], weight: 1 })

it.live("names what there is under other names", () => {
  const lines: Array<string> = []
  const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
  return Effect.gen(function*() {
    const kv = yield* KeyValue
    const names = [{ cluster: "default" }, { cluster: "a/b" }, { prefix: "my/", cluster: "orders" }] as const
    for (const name of names) yield* (yield* storageOf(name)).register(runner, true)
    // Clusters whose runners are gone.
    yield* kv.put("fx/c/default0/V", "1")
    yield* kv.put("fx/c/old/M/1", "1")
    const callers = yield* storageOf({ prefix: "my/", cluster: "order" })
    // The store goes by its own time, in which no lease ends meanwhile.
    const time = yield* Layer.build(TestClock.layer())
    const ask = (seconds: number) =>
      Effect.repeat(Effect.andThen(callers.getRunners, TestClock.adjust("1 second")), { times: seconds - 1 }).pipe(
        Effect.provide(time)
      )
    yield* ask(10)
    assert.deepStrictEqual(lines, [])
    yield* ask(60)
    assert.deepStrictEqual(lines, [
      "no runner is registered in the cluster \"order\" with the prefix \"my/\": calls of entities wait until " +
      "one is. " +
      "There are runners in cluster \"orders\", prefix \"my/\"; cluster \"a/b\", prefix \"fx/\"; " +
      "cluster \"default\", prefix \"fx/\""
    ])
    yield* callers.register(runner, true)
    yield* ask(1)
    yield* callers.unregister(runner.address)
    yield* ask(11)
    assert.lengthOf(lines, 2)
  }).pipe(
    Effect.provide(FlareDb.layerMemory),
    Effect.scoped,
    Effect.provide(logger),
    Effect.provideService(References.MinimumLogLevel, "Warn")
  )
})
