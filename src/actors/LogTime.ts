/**
 * The cluster's time, as a client knows it. Rows that several processes judge by time carry stamps of it: the wall clocks
 * of their machines may differ by hours, the log has one clock.
 *
 * A watched revision says when the leader stamped it. That is one reading; between readings this process's monotonic
 * clock goes on. So the time given here is late by what the watch takes, some milliseconds, and never early unless the
 * cluster was without a leader since the last reading, when the log's clock stands still. A reading older than some
 * seconds is renewed by a put to the key `clock`, which all processes of a prefix watch: one put serves all of them.
 */
import { Clock, Context, Effect, Latch, Layer, Semaphore, Stream } from "effect"
import type { Scope } from "effect"
import { Unavailable } from "../FlareDbError.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import type { WriteFailure } from "../client/KeyValue.ts"
import { KeyValue } from "../client/KeyValue.ts"
import type { WatchFailure } from "../client/Watch.ts"
import { Watch } from "../client/Watch.ts"

/** How asking for the time fails: only before the first reading. */
export type LogTimeFailure = WriteFailure | WatchFailure

export class LogTime extends Context.Service<LogTime, {
  /** Milliseconds since 1970, about. The first call takes a round trip or two. */
  readonly now: Effect.Effect<number, LogTimeFailure>
}>()("flaredb/actors/LogTime") {}

/** Age of a reading that is renewed, in milliseconds. */
const renewAfterMs = 5_000

/** How long the first reading is waited for before it is asked for again, in milliseconds, and how often. */
const firstWaitMs = 1_000
const firstAttempts = 5

/** Pause before a watch that failed is begun again, in milliseconds. */
const pauseMs = 500

/** The service that reads at `key`. */
export const make = Effect.fnUntraced(function*(
  key: string
): Effect.fn.Return<LogTime["Service"], never, KeyValue | Watch | Scope.Scope> {
  const kv = yield* KeyValue
  const watch = yield* Watch
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const began = Latch.makeUnsafe(false)
  const read = Latch.makeUnsafe(false)
  const first = Semaphore.makeUnsafe(1)
  /** Log time less monotonic time, of the last two readings. The later one of them came with less delay. */
  const known: { offsets?: readonly [number, number] } = {}
  let readAtMs = -Infinity
  let following = false
  let asking = false
  let failure: WatchFailure | undefined

  const take = (logTimeMs: number) => {
    const nowMs = monotonicMsOf(clock)
    const offset = logTimeMs - nowMs
    known.offsets = [offset, known.offsets?.[0] ?? offset]
    readAtMs = nowMs
    read.openUnsafe()
  }

  const follow = watch.notices({ key }, { only: "puts" }).pipe(
    Stream.runForEach((notice) =>
      Effect.sync(() => {
        failure = undefined
        if (notice._tag === "Began") began.openUnsafe()
        else if (notice._tag === "Changes") take(notice.logTimeMs)
      })
    ),
    Effect.catch((error) =>
      Effect.sync(() => {
        failure = error
        // Whoever waits for it is to learn of the failure.
        began.openUnsafe()
      })
    ),
    Effect.andThen(Effect.sleep(pauseMs)),
    Effect.andThen(Effect.sync(() => failure === undefined || began.closeUnsafe())),
    Effect.forever
  )

  const ask = Effect.suspend((): Effect.Effect<unknown, LogTimeFailure> =>
    failure === undefined ? kv.put(key, "") : Effect.fail(failure)
  )

  const firstReading = Effect.gen(function*() {
    if (!following) {
      following = true
      yield* Effect.forkIn(follow, scope)
    }
    for (let attempt = 1; attempt <= firstAttempts && known.offsets === undefined; attempt++) {
      yield* began.await
      yield* ask
      yield* Effect.timeoutOption(read.await, firstWaitMs)
    }
  })

  const renew = ask.pipe(
    Effect.ignore,
    Effect.ensuring(Effect.sync(() => asking = false)),
    Effect.forkIn(scope)
  )

  const now: LogTime["Service"]["now"] = Effect.suspend(() => {
    const { offsets } = known
    if (offsets === undefined) {
      return Effect.andThen(
        first.withPermit(Effect.suspend(() => known.offsets === undefined ? firstReading : Effect.void)),
        Effect.suspend(() => known.offsets === undefined ? Effect.fail(noReading) : now)
      )
    }
    const nowMs = monotonicMsOf(clock)
    const time = Math.floor(nowMs + Math.max(...offsets))
    if (asking || nowMs - readAtMs < renewAfterMs) return Effect.succeed(time)
    asking = true
    return Effect.as(renew, time)
  })

  return LogTime.of({ now })
})

const noReading = new Unavailable({
  reason: `the time of the log is not known: no watch told of a put within ${firstAttempts * firstWaitMs} ms`
})

const layers = new Map<string, Layer.Layer<LogTime, never, KeyValue | Watch>>()

/** One service for all layers of a prefix that are built together. */
export const layer = (prefix: string): Layer.Layer<LogTime, never, KeyValue | Watch> => {
  const known = layers.get(prefix)
  if (known !== undefined) return known
  const made = Layer.effect(LogTime, make(`${prefix}clock`))
  layers.set(prefix, made)
  return made
}
