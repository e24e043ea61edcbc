/**
 * The time by which messages become due. `deliverAt`, a cron schedule and the end of a sleep are times of the clock
 * on the wall, so what most of the nodes' clocks have reached counts. A process whose own clock is wrong delivers on
 * time, and so does a cluster that stood still for a night: the log's clock would be behind by that night, for good.
 *
 * The log's time stands in while no node knows the clocks of a majority, or all are of a build that does not say it.
 * It is late then, and never early.
 */
import { Clock, Context, Effect, Semaphore } from "effect"
import type { Scope } from "effect"
import { ClusterAdmin } from "../client/ClusterAdmin.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import { ClockReadings, renewAfterMs } from "./ClockReadings.ts"
import type { LogTime, LogTimeFailure } from "./LogTime.ts"

export class DueTime extends Context.Service<DueTime, {
  /** Milliseconds since 1970, about. The first call takes a round trip. */
  readonly now: Effect.Effect<number, LogTimeFailure>
}>()("flaredb/actors/DueTime") {}

/** Readings that are taken at once behind the first one, which is a slow one. */
const moreReadings = 2

/** The service that reads the clocks of the nodes, with the log's time in place of what they do not say. */
export const make = Effect.fnUntraced(function*(
  logTime: LogTime["Service"]
): Effect.fn.Return<DueTime["Service"], never, ClusterAdmin | Scope.Scope> {
  const admin = yield* ClusterAdmin
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const readings = new ClockReadings(clock)
  const first = Semaphore.makeUnsafe(1)
  let askedMs = -Infinity

  const ask = Effect.suspend(() => {
    askedMs = monotonicMsOf(clock)
    return Effect.ignore(Effect.map(admin.wallMs, readings.add))
  })
  const askBeside = Effect.forkIn(ask, scope)
  // A question that was not answered is repeated as late as a reading is renewed.
  const mayAsk = () => monotonicMsOf(clock) - askedMs >= renewAfterMs

  const firstReading = first.withPermit(Effect.suspend(() => {
    if (!readings.isEmpty || !mayAsk()) return Effect.void
    const more = Effect.forkIn(Effect.repeat(ask, { times: moreReadings - 1 }), scope)
    return Effect.andThen(ask, Effect.suspend(() => readings.isEmpty ? Effect.void : more))
  }))

  const known = Effect.suspend((): Effect.Effect<number, LogTimeFailure> => {
    const reading = readings.now()
    if (reading === undefined) return logTime.now
    return reading.ageMs >= renewAfterMs && mayAsk()
      ? Effect.as(askBeside, reading.timeMs)
      : Effect.succeed(reading.timeMs)
  })

  return DueTime.of({
    now: Effect.suspend(() => readings.isEmpty && mayAsk() ? Effect.andThen(firstReading, known) : known)
  })
})
