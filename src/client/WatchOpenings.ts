/**
 * The watches of a client that are being opened. Thousands at once would keep client and node busy for seconds, each of
 * them would run out of time, and all of them would begin again. So a few are opened at a time. Waiting for a turn
 * counts against no watch as long as others are opened meanwhile: then the cluster is there.
 */
import { Effect, Semaphore } from "effect"
import { monotonicMs } from "../Monotonic.ts"
import type { Connection } from "./connection/Connection.ts"

/** Watches of a client that are opened at a time. */
export const maxOpening = 64

export class WatchOpenings {
  private readonly turns = Semaphore.makeUnsafe(maxOpening)
  /** When a watch was last opened. */
  private openedMs = -Infinity
  /** When each connection last answered a watch. */
  private readonly heardMs = new WeakMap<Connection, number>()

  /** Opens a watch when its turn comes. */
  inTurn<A, E, R>(open: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return this.turns.withPermit(
      Effect.tap(open, () =>
        Effect.map(monotonicMs, (nowMs) => {
          this.openedMs = nowMs
        }))
    )
  }

  /** For how long a watch that was asked for at `askedMs` has waited without another one being opened. */
  waitedMs(askedMs: number, nowMs: number): number {
    return nowMs - Math.max(askedMs, this.openedMs)
  }

  /** A connection answered a watch. */
  heard(connection: Connection, nowMs: number): void {
    this.heardMs.set(connection, nowMs)
  }

  /** Whether a connection has answered a watch since then: one that has is slow, and not lost. */
  isHeardSince(connection: Connection, sinceMs: number): boolean {
    return (this.heardMs.get(connection) ?? -Infinity) > sinceMs
  }
}
