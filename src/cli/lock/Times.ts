/**
 * When the command of `flaredb lock` is stopped: it has to be gone before the lock can be somebody else's. A lease that
 * no keep-alive confirms any more runs out; the command is asked to end when a third of its time is left, and killed
 * when {@link killAtMs} is.
 */

/** Times that tests make shorter or longer. */
export interface LockTimes {
  /** Milliseconds within which the guard watches, also on a busy machine. The command is started after that. */
  readonly readyMs: number
  /** Milliseconds for which it may say nothing later: then it is stuck or stopped, and could not end the command. */
  readonly silentMs: number
  /** Milliseconds for the command to end by itself after a signal, while the lease is kept alive. */
  readonly stopMs: number
}

export const lockTimes: LockTimes = { readyMs: 30_000, silentMs: 30_000, stopMs: 5_000 }

/** How often it is looked how much is left of a lease, in milliseconds. */
export const lookMs = (ttlMs: number): number => Math.min(250, ttlMs / 20)

/** Milliseconds left of a lease at which the command is asked to end. Two keep-alives had no answer by then. */
export const tellAtMs = (ttlMs: number): number => ttlMs / 3

/** The least of that on a machine whose processors are all taken, in milliseconds, where a timer is late by as much. */
const busyMs = 750

/**
 * Milliseconds left of a lease at which the command is killed: time for the kill itself, and for clocks that differ. A
 * tenth of the lease, more where that is less than {@link busyMs}, and a quarter at most.
 */
export const killAtMs = (ttlMs: number): number => Math.max(ttlMs / 10, Math.min(busyMs, ttlMs / 4))
