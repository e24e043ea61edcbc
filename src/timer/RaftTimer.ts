/**
 * The logical clock of a node: it ticks, and it says what time it is. `layer` follows
 * the Effect `Clock` (so a `TestClock` drives it), `layerManual` ticks when a test says so.
 */
import { Context } from "effect"
import type { Queue } from "effect"

export interface TimerTick {
  /** How much later than due this tick came, in milliseconds: a long delay is a stall of the process. */
  readonly lateMs: number
}

export class RaftTimer extends Context.Service<RaftTimer, {
  /**
   * One element per tick that was due. At most one waits: ticks missed in a stall are not replayed in a burst,
   * because the time they measured did not pass for the peers' messages that wait in the inbox.
   */
  readonly ticks: Queue.Dequeue<TimerTick>
  /** Milliseconds since the epoch, for entry stamps. */
  readonly nowMsUnsafe: () => number
}>()("flaredb/timer/RaftTimer") {}
