/** A wait with an end, for what may never come back from a disk. */

/** What a promise gives, or `late` when it takes longer than so many milliseconds; without any, unless it has ended. */
export const inTime = <A>(promise: Promise<A>, ms: number): Promise<A | "late"> => {
  if (ms <= 0) return Promise.race([promise, Promise.resolve("late" as const)])
  const { promise: late, resolve } = Promise.withResolvers<"late">()
  const timer = setTimeout(() => resolve("late"), ms)
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}
