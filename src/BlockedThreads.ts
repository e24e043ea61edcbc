/**
 * Whether a thread of the pool may never come back. `process.exit` waits for all of them, so a process that has such a
 * thread has to be killed. One with an embedded node may go on for other reasons, and is killed when it exits.
 */
let blocked = 0

const end = (): void => {
  process.kill(process.pid, "SIGKILL")
}

/** Says that an operation was left behind that may hold its thread for good. What it returns takes that back. */
export const noteBlockedThread = (): () => void => {
  blocked += 1
  if (blocked === 1) process.on("exit", end)
  return () => {
    blocked -= 1
    if (blocked === 0) process.off("exit", end)
  }
}

export const hasBlockedThread = (): boolean => blocked > 0
