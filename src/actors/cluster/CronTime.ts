/**
 * The time that cron singletons go by. Each run is a message that comes when the clocks of most nodes say so, and
 * Effect asks the clock of the runner which run is the next one. A runner whose clock is behind finds the run that it
 * has just had. That one is stored already, so no other one would come. So both go by the clocks of most nodes.
 */
import { Clock, Effect, Layer } from "effect"
import { Sharding } from "effect/cluster"
import { monotonicMsOf } from "../../Monotonic.ts"
import { MessageWork } from "./MessageWork.ts"

/** How the entities and singletons of `ClusterCron` are called. */
const cronName = "ClusterCron/"

/** `clock`, whose time on the wall is `wallMs` now and goes on from there. */
const from = (clock: Clock.Clock, wallMs: number): Clock.Clock => {
  const offsetMs = wallMs - monotonicMsOf(clock)
  const now = () => Math.floor(offsetMs + monotonicMsOf(clock))
  const nanos = () => BigInt(now()) * 1_000_000n
  return {
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}

type Handler = (
  request: { readonly payload?: { readonly dateTime?: { readonly epochMilliseconds: number } } }
) => Effect.Effect<unknown, unknown, unknown>

/** Effect's `Sharding`, whose cron singletons go by the clocks of most nodes. */
export const layer: Layer.Layer<Sharding.Sharding, never, Sharding.Sharding | MessageWork> = Layer.effect(
  Sharding.Sharding,
  Effect.gen(function*() {
    const sharding = yield* Sharding.Sharding
    const { now } = yield* MessageWork
    /** Whose time has come to `atLeastMs`. */
    const onTime = <A, E, R>(effect: Effect.Effect<A, E, R>, atLeastMs = 0): Effect.Effect<A, E, R> =>
      Effect.flatMap(Clock.Clock, (clock) =>
        Effect.flatMap(
          Effect.orElseSucceed(now, () => clock.currentTimeMillisUnsafe()),
          (nowMs) => Effect.provideService(effect, Clock.Clock, from(clock, Math.max(nowMs, atLeastMs)))
        ))
    const allOnTime = <Handlers extends object>(handlers: Handlers): Handlers =>
      Object.fromEntries(
        Object.entries(handlers as Record<string, Handler>).map(([tag, handle]): [string, Handler] => [
          tag,
          (request) => onTime(Effect.suspend(() => handle(request)), request.payload?.dateTime?.epochMilliseconds)
        ])
      ) as Handlers
    return Sharding.Sharding.of({
      ...sharding,
      registerEntity: (entity, handlers, options) =>
        sharding.registerEntity(
          entity,
          entity.type.startsWith(cronName) ? Effect.map(handlers, allOnTime) : handlers,
          options
        ),
      registerSingleton: (name, run, options) =>
        sharding.registerSingleton(name, name.startsWith(cronName) ? onTime(run) : run, options)
    })
  })
)
