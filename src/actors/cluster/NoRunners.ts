/**
 * Says that no runner is there, and under which names of the same prefix there are some. A caller with the prefix or
 * the cluster of others sends to no runner: its calls wait, and Effect asks for the runners again without a word.
 */
import { Effect } from "effect"
import type { RunnerStorage } from "effect/cluster"
import type { KeyValue, ReadFailure } from "../../client/KeyValue.ts"
import { monotonicMs } from "../../Monotonic.ts"
import { defaultPrefix } from "../persistence/Keys.ts"
import type { ClusterName } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"

type Storage = RunnerStorage.RunnerStorage["Service"]

/** How long there may be no runner, in milliseconds: callers may start before runners do. */
const patienceMs = 10_000

/** Names that are looked at, of each prefix: each takes two reads. */
const maxNames = 16

/** The clusters below a prefix that have runners. */
const withRunners = Effect.fnUntraced(function*(
  kv: KeyValue["Service"],
  prefix: string
): Effect.fn.Return<ReadonlyArray<string>, ReadFailure> {
  const found: Array<string> = []
  let cursor: string | undefined
  for (let looked = 0; looked < maxNames; looked++) {
    const { entries: [entry] } = yield* kv.scan(ClusterKeys.all(prefix), { cursor, limit: 1, keysOnly: true })
    if (entry === undefined) break
    const cluster = ClusterKeys.clusterOf(prefix, entry.keyText)
    const keys = new ClusterKeys({ prefix, cluster })
    if ((yield* kv.count(keys.runners)) > 0) found.push(`cluster "${cluster}", prefix "${prefix}"`)
    cursor = keys.behind
  }
  return found
})

/** Logs a warning when there has been no runner for some time, once until there is one. */
export const sayingNone = (storage: Storage, kv: KeyValue["Service"], name: ClusterName): Storage => {
  const { cluster = "default", prefix = defaultPrefix } = name
  let sinceMs: number | undefined
  let isSaid = false
  const others = Effect.map(
    Effect.forEach([...new Set([prefix, defaultPrefix])], (one) => withRunners(kv, one)),
    (found) => found.flat().join("; ")
  )
  const say = Effect.gen(function*() {
    isSaid = true
    // A caller may not be allowed to read what others have.
    const elsewhere = yield* Effect.orElseSucceed(others, () => "")
    yield* Effect.logWarning(
      `no runner is registered in the cluster "${cluster}" with the prefix "${prefix}": calls of entities wait until ` +
        `one is. ${elsewhere === "" ? "Start one with these names" : `There are runners in ${elsewhere}`}`
    )
  })
  const none = Effect.flatMap(monotonicMs, (nowMs) => {
    sinceMs ??= nowMs
    return isSaid || nowMs - sinceMs < patienceMs ? Effect.void : say
  })
  return {
    ...storage,
    getRunners: Effect.tap(storage.getRunners, (runners) => {
      if (runners.length === 0) return none
      sinceMs = undefined
      isSaid = false
      return Effect.void
    })
  }
}
