/**
 * Effect's `RunnerStorage`, whose list of runners waits for news. Sharding asks for the runners in a loop and has no
 * hook that wakes it. So the list itself waits: it is read again when a runner's row was put or deleted, and otherwise
 * after {@link maxWaitMs}.
 */
import { Effect, Latch, Layer, Stream } from "effect"
import { RunnerStorage } from "effect/cluster"
import { Watch } from "../../client/Watch.ts"
import type { ClusterName } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"

/** The longest wait of one listing, in milliseconds. Sharding gives a listing five seconds. */
const maxWaitMs = 1_000

/** Pause before a watch that failed is begun again, in milliseconds. */
const pauseMs = 500

/** Has `getRunners` of a storage answer when the runners have changed since it last answered. */
const waitingFor = Effect.fnUntraced(function*(storage: RunnerStorage.RunnerStorage["Service"], keys: ClusterKeys) {
  const watch = yield* Watch
  // Open while something may have changed: no caller waits before the watch has begun, or while it is away.
  const changed = Latch.makeUnsafe(true)
  let watching = false
  const follow = watch.notices({ prefix: keys.runners }).pipe(
    Stream.runForEach((notice) =>
      Effect.sync(() => {
        if (notice._tag === "Progress") return
        watching = true
        changed.openUnsafe()
      })
    ),
    Effect.ignore,
    Effect.andThen(Effect.sync(() => {
      watching = false
      changed.openUnsafe()
    })),
    Effect.andThen(Effect.sleep(pauseMs)),
    Effect.forever
  )
  yield* Effect.forkScoped(follow)
  return RunnerStorage.RunnerStorage.of({
    ...storage,
    getRunners: Effect.timeoutOption(changed.await, maxWaitMs).pipe(
      Effect.andThen(Effect.suspend(() => {
        // Before the reading: what changes from here on is read once more.
        if (watching) changed.closeUnsafe()
        return Effect.tapError(storage.getRunners, () => changed.open)
      }))
    )
  })
})

/** Takes the place of the storage that it is given. */
export const layer = (
  name: ClusterName = {}
): Layer.Layer<RunnerStorage.RunnerStorage, never, RunnerStorage.RunnerStorage | Watch> =>
  Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.flatMap(RunnerStorage.RunnerStorage, (storage) => waitingFor(storage, new ClusterKeys(name)))
  )
