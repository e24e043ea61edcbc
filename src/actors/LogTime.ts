/**
 * The cluster's time, as a client knows it. Rows that several processes judge by time carry timestamps of it: the wall
 * clocks of their machines may differ by hours, the log has one clock.
 *
 * A watched revision says when the leader gave it its timestamp. That is one reading; between readings this process's
 * monotonic clock goes on. So the time given here is late by what the watch takes, some milliseconds, and never early
 * unless the cluster was without a leader meanwhile, when the log's clock stands still: then until the second reading
 * after that. A reading older than some seconds is renewed by a put to the key `clock`, which all processes of a prefix
 * watch: one put serves all of them.
 */
import { Clock, Context, Effect, Latch, Layer, Semaphore, Stream } from "effect"
import type { Scope } from "effect"
import { Unavailable } from "../FlareDbError.ts"
import type { WriteFailure } from "../client/KeyValue.ts"
import { KeyValue } from "../client/KeyValue.ts"
import { ClockReadings, renewAfterMs } from "./ClockReadings.ts"
import type { WatchFailure } from "../client/Watch.ts"
import { Watch } from "../client/Watch.ts"

/** How asking for the time fails: only before the first reading. */
export type LogTimeFailure = WriteFailure | WatchFailure

export class LogTime extends Context.Service<LogTime, {
  /** Milliseconds since 1970, about. The first call takes a round trip or two. */
  readonly now: Effect.Effect<number, LogTimeFailure>
}>()("flaredb/actors/LogTime") {}

/** How long the first reading is waited for before it is asked for again, in milliseconds, and how often. */
const firstWaitMs = 1_000
const firstAttempts = 5

/** Readings that are taken at once behind the first one. */
const moreReadings = 3

/** Pause before a watch that failed is begun again, in milliseconds. */
const pauseMs = 500

/** The watch of the key of the clock. It begins again after a failure. */
class ClockWatch {
  private readonly began = Latch.makeUnsafe(false)
  /** Why the watch is interrupted. */
  failure: WatchFailure | undefined

  /** Ends when the watch has begun, or has failed. */
  get awaitBegin(): Effect.Effect<void> {
    return this.began.await
  }

  /** Gives every reading of the watch to `add`, without end. */
  run(watch: Watch["Service"], key: string, add: (logTimeMs: number) => void): Effect.Effect<never> {
    return watch.notices({ key }, { only: "puts" }).pipe(
      Stream.runForEach((notice) =>
        Effect.sync(() => {
          this.failure = undefined
          if (notice._tag === "Began") this.began.openUnsafe()
          else if (notice._tag === "Changes") add(notice.logTimeMs)
        })
      ),
      Effect.catch((error) =>
        Effect.sync(() => {
          this.failure = error
          // Callers that wait for the begin fail with it.
          this.began.openUnsafe()
        })
      ),
      Effect.andThen(Effect.sleep(pauseMs)),
      Effect.andThen(Effect.sync(() => this.failure === undefined || this.began.closeUnsafe())),
      Effect.forever
    )
  }
}

/** The service that reads at `key`. */
export const make = Effect.fnUntraced(function*(
  key: string
): Effect.fn.Return<LogTime["Service"], never, KeyValue | Watch | Scope.Scope> {
  const kv = yield* KeyValue
  const watch = yield* Watch
  const readings = new ClockReadings(yield* Clock.Clock)
  const scope = yield* Effect.scope
  const clockWatch = new ClockWatch()
  const first = Semaphore.makeUnsafe(1)
  let following = false
  let asking = false

  const ask = Effect.suspend((): Effect.Effect<unknown, LogTimeFailure> =>
    clockWatch.failure === undefined ? kv.put(key, "") : Effect.fail(clockWatch.failure)
  )

  const firstReading = Effect.gen(function*() {
    if (!following) {
      following = true
      yield* Effect.forkIn(clockWatch.run(watch, key, readings.add), scope)
    }
    for (let attempt = 1; attempt <= firstAttempts && readings.isEmpty; attempt++) {
      yield* clockWatch.awaitBegin
      yield* ask
      yield* Effect.timeoutOption(readings.awaitFirst, firstWaitMs)
    }
    // The first put is a slow one, of code that has not run before.
    yield* Effect.forkIn(Effect.repeat(Effect.ignore(ask), { times: moreReadings - 1 }), scope)
  })

  const renew = ask.pipe(
    Effect.ignore,
    Effect.ensuring(Effect.sync(() => asking = false)),
    Effect.forkIn(scope)
  )

  const now: LogTime["Service"]["now"] = Effect.suspend(() => {
    const reading = readings.now()
    if (reading === undefined) {
      return Effect.andThen(
        first.withPermit(Effect.suspend(() => readings.isEmpty ? firstReading : Effect.void)),
        Effect.suspend(() => readings.isEmpty ? Effect.fail(noReading) : now)
      )
    }
    if (asking || reading.ageMs < renewAfterMs) return Effect.succeed(reading.timeMs)
    asking = true
    return Effect.as(renew, reading.timeMs)
  })

  return LogTime.of({ now })
})

const noReading = new Unavailable({
  reason: `the time of the log is not known: no watch reported a put within ${firstAttempts * firstWaitMs} ms`
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
