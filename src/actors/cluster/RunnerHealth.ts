/**
 * Effect's `RunnerHealth`: a runner is alive as long as its row is there, which goes with the lease that the runner
 * refreshes. No runner is pinged, so a runner that answers pings and cannot reach the store is not alive.
 */
import { Effect, Layer, Option } from "effect"
import { RunnerHealth } from "effect/cluster"
import { KeyValue } from "../../client/KeyValue.ts"
import type { ClusterName } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"

/**
 * When the store cannot be asked, nothing is known against a runner.
 *
 * **When to use**
 *
 * To put a runner together by hand; `Actors.layer` has it already.
 */
export const layer = (name: ClusterName = {}): Layer.Layer<RunnerHealth.RunnerHealth, never, KeyValue> =>
  Layer.effect(
    RunnerHealth.RunnerHealth,
    Effect.map(KeyValue, (kv) => {
      const keys = new ClusterKeys(name)
      return RunnerHealth.RunnerHealth.of({
        isAlive: ({ host, port }) =>
          kv.get(keys.runner(`${host}:${port}`)).pipe(
            Effect.map(Option.isSome),
            Effect.catch(() => Effect.succeed(true))
          )
      })
    })
  )
