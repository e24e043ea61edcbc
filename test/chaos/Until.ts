import { setTimeout as wait } from "node:timers/promises"

/** Waits until a condition holds; fails, saying what it waited for, after `limitMs` milliseconds. */
export const until = async (what: string, limitMs: number, holds: () => boolean | Promise<boolean>): Promise<void> => {
  const deadlineMs = performance.now() + limitMs
  while (!(await holds())) {
    if (performance.now() > deadlineMs) throw new Error(`${what}: not within ${limitMs} ms`)
    await wait(5)
  }
}
