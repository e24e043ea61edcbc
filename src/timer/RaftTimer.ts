/**
 * The logical clock of a node: it counts ticks, and it says what time it is. `layer` follows the Effect `Clock`, so a
 * `TestClock` drives it; `layerManual` counts a tick when a test says so.
 *
 * The owner of the core takes the ticks that have passed whenever it has a turn, and says until when it needs none for
 * time's sake alone. A node at rest sleeps until then instead of waking for each tick.
 */
import type { Fiber, Scope } from "effect"
import { Clock, Context, Duration, Effect, Layer } from "effect"
import { monotonicMsOf } from "../Monotonic.ts"

/** Ticks that have passed. */
export interface Elapsed {
  readonly ticks: number
  /** How much later than its alarm the owner looks, in milliseconds: a long delay is a stall of the process. */
  readonly lateMs: number
}

const none: Elapsed = { ticks: 0, lateMs: 0 }

/**
 * Ticks counted on a clock of milliseconds. No more are counted than the alarm was set to: ticks missed in a stall are
 * not replayed in a burst, because the time they measured did not pass for the peers' messages that wait in the inbox.
 */
export class TickCounter {
  private readonly tickMs: number
  private readonly nowMs: () => number
  /** When the last tick that was taken was due. */
  private lastMs: number
  /** Ticks after that one until the alarm; 0 while none is set. */
  private alarmTicks = 1
  private rung = false

  constructor(tickMs: number, nowMs: () => number) {
    this.tickMs = tickMs
    this.nowMs = nowMs
    this.lastMs = nowMs()
  }

  /** Takes the ticks that have passed since it was last asked. */
  take(): Elapsed {
    if (this.alarmTicks === 0) return none
    const nowMs = this.nowMs()
    const dueMs = this.lastMs + this.alarmTicks * this.tickMs
    if (!this.rung && nowMs < dueMs) {
      const ticks = Math.floor((nowMs - this.lastMs) / this.tickMs)
      if (ticks <= 0) return none
      this.lastMs += ticks * this.tickMs
      this.alarmTicks -= ticks
      return { ticks, lateMs: 0 }
    }
    const ticks = this.alarmTicks
    const lateMs = Math.max(0, nowMs - dueMs)
    // A late alarm moves the schedule instead of being followed by what it delayed; small delays do not add up.
    this.lastMs = lateMs < this.tickMs ? dueMs : nowMs
    this.alarmTicks = 0
    this.rung = false
    return { ticks, lateMs }
  }

  /** The alarm has gone off: the ticks that it was set to have passed, whatever the clock's last digit says. */
  ring(): void {
    if (this.alarmTicks > 0) this.rung = true
  }

  /**
   * Wants the alarm when `ticks` more have passed. Answers with the milliseconds until then, or `undefined` where an
   * alarm is set that comes no later: it tells what has passed, and the next one is set from there. To put it off at
   * each turn would cost a timer each, and Node wakes at the time of one that was taken back, too.
   */
  arm(ticks: number): number | undefined {
    if (this.alarmTicks > 0 && this.alarmTicks <= ticks) return undefined
    this.alarmTicks = ticks
    return this.remainingMs()
  }

  /** Whole milliseconds until the alarm: Effect reads a fraction from its decimal digits. */
  remainingMs(): number {
    return Math.max(0, Math.ceil(this.lastMs + this.alarmTicks * this.tickMs - this.nowMs()))
  }
}

/** Ticks on demand. */
export class ManualTimer {
  nowMs = 0
  private readonly timers = new Set<{ ticks: number; lateMs: number; readonly alarm: () => void }>()

  attach(alarm: () => void): { readonly take: () => Elapsed; readonly detach: () => void } {
    const timer = { ticks: 0, lateMs: 0, alarm }
    this.timers.add(timer)
    return {
      take: () => {
        const { lateMs, ticks } = timer
        timer.ticks = 0
        return ticks === 0 ? none : { ticks, lateMs }
      },
      detach: () => this.timers.delete(timer)
    }
  }

  /** One tick for every node that uses this timer. Ticks that no node has taken are one. */
  tick(lateMs = 0): void {
    for (const timer of this.timers) {
      timer.ticks = 1
      timer.lateMs = lateMs
      timer.alarm()
    }
  }
}

export class RaftTimer extends Context.Service<RaftTimer, {
  /**
   * Calls `alarm` when a tick is due that the owner has to know of, the first one to begin with, while the scope is
   * open.
   */
  readonly start: (alarm: () => void) => Effect.Effect<void, never, Scope.Scope>
  /** Takes the ticks that have passed since it was last asked. */
  readonly takeUnsafe: () => Elapsed
  /** The owner needs no alarm before `ticks` more, at least one, have passed. To be called after ticks were taken. */
  readonly sleepUnsafe: (ticks: number) => void
  /**
   * Calls `alarm` when about so many milliseconds have passed, ticks or not. Absent where time may stand still, so that
   * nothing may wait for it.
   */
  readonly wakeUnsafe?: (ms: number) => void
  /** Milliseconds since the epoch. May jump, as wall clocks do. */
  readonly nowMsUnsafe: () => number
  /** Milliseconds since some time in the past. Never goes back. */
  readonly monotonicMsUnsafe: () => number
}>()("flaredb/timer/RaftTimer") {
  /** A tick each `tickMs` milliseconds. `stands` where the clock is a test's, which may stand still. */
  static readonly layer = (options: { readonly tickMs: number; readonly stands?: boolean }): Layer.Layer<RaftTimer> =>
    Layer.effect(RaftTimer, makeClocked(options.tickMs, options.stands === true))

  /** Ticks when `timer` does. */
  static readonly layerManual = (timer: ManualTimer): Layer.Layer<RaftTimer> =>
    Layer.sync(RaftTimer, () => {
      let take = () => none
      return RaftTimer.of({
        start: (alarm) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const attached = timer.attach(alarm)
              take = attached.take
              return attached
            }),
            ({ detach }) => Effect.sync(detach)
          ),
        takeUnsafe: () => take(),
        sleepUnsafe: () => undefined,
        nowMsUnsafe: () => timer.nowMs,
        monotonicMsUnsafe: () => timer.nowMs
      })
    })

  /** Ticks once, at the start. That is all the time a cluster of one voter ever needs: to elect itself. */
  static readonly layerOnce: Layer.Layer<RaftTimer> = Layer.effect(
    RaftTimer,
    Effect.map(Clock.Clock, (clock) => {
      let ticks = 1
      return RaftTimer.of({
        start: (alarm) => Effect.sync(alarm),
        takeUnsafe: () => {
          if (ticks === 0) return none
          ticks = 0
          return { ticks: 1, lateMs: 0 }
        },
        sleepUnsafe: () => undefined,
        ...readings(clock)
      })
    })
  )
}

const readings = (clock: Clock.Clock) => ({
  nowMsUnsafe: () => clock.currentTimeMillisUnsafe(),
  monotonicMsUnsafe: () => monotonicMsOf(clock)
})

const makeClocked = Effect.fnUntraced(function*(tickMs: number, stands: boolean) {
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const counter = new TickCounter(tickMs, () => monotonicMsOf(clock))
  let alarm: (() => void) | undefined
  let sleeping: Fiber.Fiber<void> | undefined
  const ring = (): void => {
    // It is this fiber that runs now: what sleeps next need not end it.
    sleeping = undefined
    counter.ring()
    alarm?.()
  }
  const sleep = (ms: number): void => {
    sleeping?.interruptUnsafe()
    sleeping = fork(Effect.map(clock.sleep(Duration.millis(ms)), ring))
  }
  let waking: { readonly atMs: number; readonly fiber: Fiber.Fiber<void> } | undefined
  const wake = (): void => {
    waking = undefined
    alarm?.()
  }
  const wakeUnsafe = (ms: number): void => {
    const atMs = monotonicMsOf(clock) + ms
    // One that comes no later is enough: who is woken looks at the clock, and asks again.
    if (alarm === undefined || waking !== undefined && waking.atMs <= atMs) return
    waking?.fiber.interruptUnsafe()
    waking = { atMs, fiber: fork(Effect.map(clock.sleep(Duration.millis(Math.ceil(ms))), wake)) }
  }
  return RaftTimer.of({
    ...(stands ? {} : { wakeUnsafe }),
    start: (told) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          alarm = told
          counter.arm(1)
          const ms = counter.remainingMs()
          // What the start of the node took has passed.
          if (ms === 0) ring()
          else sleep(ms)
        }),
        () =>
          Effect.sync(() => {
            alarm = undefined
            sleeping?.interruptUnsafe()
            waking?.fiber.interruptUnsafe()
          })
      ),
    takeUnsafe: () => counter.take(),
    sleepUnsafe: (ticks) => {
      const ms = alarm === undefined ? undefined : counter.arm(ticks)
      if (ms !== undefined) sleep(ms)
    },
    ...readings(clock)
  })
})
