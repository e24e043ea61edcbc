/**
 * The logical clock of a node: it ticks, and it says what time it is. `layer` follows the Effect `Clock`, so a
 * `TestClock` drives it; `layerManual` ticks when a test says so.
 */
import { Clock, Context, Effect, Layer, Queue } from "effect"
import { monotonicMsOf } from "../Monotonic.ts"

export interface TimerTick {
  /** How much later than due this tick came, in milliseconds: a long delay is a stall of the process. */
  readonly lateMs: number
}

/** Ticks on demand. */
export class ManualTimer {
  nowMs = 0
  private readonly queues = new Set<Queue.Queue<TimerTick>>()

  attach(queue: Queue.Queue<TimerTick>): void {
    this.queues.add(queue)
  }

  detach(queue: Queue.Queue<TimerTick>): void {
    this.queues.delete(queue)
  }

  /** One tick for every node that uses this timer. */
  tick(lateMs = 0): void {
    for (const queue of this.queues) Queue.offerUnsafe(queue, { lateMs })
  }
}

export class RaftTimer extends Context.Service<RaftTimer, {
  /**
   * One element per tick that was due. At most one waits: ticks missed in a stall are not replayed in a burst,
   * because the time they measured did not pass for the peers' messages that wait in the inbox.
   */
  readonly ticks: Queue.Dequeue<TimerTick>
  /** Milliseconds since the epoch. May jump, as wall clocks do. */
  readonly nowMsUnsafe: () => number
  /** Milliseconds since some moment in the past. Never goes back. */
  readonly monotonicMsUnsafe: () => number
}>()("flaredb/timer/RaftTimer") {
  /** Ticks every `tickMs` milliseconds. */
  static readonly layer = (options: { readonly tickMs: number }): Layer.Layer<RaftTimer> =>
    Layer.effect(RaftTimer, makeClocked(options.tickMs))

  /** Ticks when `timer` does. */
  static readonly layerManual = (timer: ManualTimer): Layer.Layer<RaftTimer> =>
    Layer.effect(
      RaftTimer,
      Effect.map(
        Effect.acquireRelease(
          Effect.tap(Queue.sliding<TimerTick>(1), (ticks) => Effect.sync(() => timer.attach(ticks))),
          (ticks) => Effect.sync(() => timer.detach(ticks))
        ),
        (ticks) => RaftTimer.of({ ticks, nowMsUnsafe: () => timer.nowMs, monotonicMsUnsafe: () => timer.nowMs })
      )
    )

  /** Ticks once, at the start. That is all the time a cluster of one voter ever needs: to elect itself. */
  static readonly layerOnce: Layer.Layer<RaftTimer> = Layer.effect(
    RaftTimer,
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const ticks = yield* Queue.sliding<TimerTick>(1)
      Queue.offerUnsafe(ticks, { lateMs: 0 })
      return RaftTimer.of({ ticks, ...readings(clock) })
    })
  )
}

const readings = (clock: Clock.Clock) => ({
  nowMsUnsafe: () => clock.currentTimeMillisUnsafe(),
  monotonicMsUnsafe: () => monotonicMsOf(clock)
})

const makeClocked = Effect.fnUntraced(function*(tickMs: number) {
  const clock = yield* Clock.Clock
  const ticks = yield* Queue.sliding<TimerTick>(1)
  let due = monotonicMsOf(clock) + tickMs
  const next = Effect.suspend(() =>
    // Whole milliseconds: Effect reads a fraction from its decimal digits, a hundred times a second on an idle node.
    Effect.map(Effect.sleep(Math.max(0, Math.ceil(due - monotonicMsOf(clock)))), () => {
      const now = monotonicMsOf(clock)
      const lateMs = Math.max(0, now - due)
      Queue.offerUnsafe(ticks, { lateMs })
      // A late tick moves the schedule instead of being followed by those it delayed; small delays do not add up.
      due = lateMs < tickMs ? due + tickMs : now + tickMs
    })
  )
  yield* Effect.forkScoped(Effect.forever(next))
  return RaftTimer.of({ ticks, ...readings(clock) })
})
