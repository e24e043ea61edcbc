/**
 * When the command of `flaredb lock` is stopped: it has to be gone before the lock can be somebody else's. A lease that no
 * keep-alive confirms any more runs out; the command is told to end when a third of its time is left, and killed when a
 * tenth is.
 */

/** Milliseconds for the command to end by itself after a signal, while the lease is kept alive. */
export const stopMs = 5_000

/** Milliseconds left of a lease at which the command is told to end. Two keep-alives had no answer by then. */
export const tellAtMs = (ttlMs: number): number => ttlMs / 3

/** Milliseconds left of a lease at which the command is killed: time for the kill itself, and for clocks that differ. */
export const killAtMs = (ttlMs: number): number => ttlMs / 10
