/**
 * Whether a thread of the pool may never come back. `process.exit` waits for all of them, so a process that has such a
 * thread has to be killed; a process that may go on for other reasons, as one with an embedded node, need not care.
 */
let blocked = false

/** Says that an operation was left behind that may hold its thread for good. */
export const noteBlockedThread = (): void => {
  blocked = true
}

export const hasBlockedThread = (): boolean => blocked
