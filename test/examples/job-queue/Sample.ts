/** Random commands on few queues, keys and receipts, so that they meet. */
import type { Command } from "../../../examples/job-queue/Protocol.ts"
import { Model } from "./Model.ts"

export interface Step {
  readonly timestampMs: number
  readonly command: Command
}

export const queues = ["mails", "reports"]
export const keys = ["a", "b", "c", "d", "e", "f"]
const receipts = ["r1", "r2", "r3", "r4"]

/** `count` commands; the first of them has index 2 in the log, which job numbers rely on. */
export const steps = (seed: number, count: number): ReadonlyArray<Step> => {
  let state = seed
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const pick = <A>(from: ReadonlyArray<A>): A => from[below(from.length)] as A
  const ids: Array<number> = [1]
  // Tells what is held and by whom, so that commands speak of that often enough.
  const model = new Model()
  let timestampMs = 1_000
  return Array.from({ length: count }, (_, i): Step => {
    // Now and then so much that what is finished is forgotten.
    timestampMs += below(100) === 0 ? 4_000_000 : below(400)
    const taken = [...model.jobs.values()].filter((job) => job.state === "taken")
    const held = () =>
      below(4) === 0 || taken.length === 0
        ? { job: pick(ids.slice(-8)), receipt: pick(receipts) }
        : (({ id, receipt }) => ({ job: id, receipt: receipt as string }))(pick(taken))
    const dead = [...model.jobs.values()].filter((job) => job.state === "dead").map(({ id }) => id)
    const roll = below(100)
    const command: Command = roll < 35
      ? {
        _tag: "Enqueue",
        queue: pick(queues),
        key: pick(keys),
        payload: `payload ${i}`,
        delayMs: below(3) === 0 ? below(2_000) : 0,
        maxAttempts: 1 + below(3)
      }
      : roll < 60
      ? { _tag: "Take", queue: pick(queues), receipt: pick(receipts), leaseMs: 100 + below(2_000) }
      : roll < 68
      ? { _tag: "Complete", ...held() }
      : roll < 78
      ? { _tag: "Fail", ...held(), reason: `reason ${i}`, delayMs: below(1_000) }
      : roll < 84
      ? { _tag: "Extend", ...held(), leaseMs: 100 + below(2_000) }
      : roll < 88
      ? { _tag: "Revive", job: pick(dead.length > 0 ? dead : ids.slice(-8)) }
      : { _tag: "Expire" }
    if (command._tag === "Enqueue") ids.push(i + 2)
    model.apply(i + 2, timestampMs, command)
    return { timestampMs, command }
  })
}
