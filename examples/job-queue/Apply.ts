/** Carries out the commands of the queue. Functions of rows, command and context, and of nothing else. */
import { Effect } from "effect"
import type { ApplyContext, Rows, StorageError } from "flaredb/machine"
import type { Job } from "./Job.ts"
import { keepMs, maxWaiting } from "./Job.ts"
import { dedupeKey, dueRange, jobOf, readyRange, receiptKey, timeOf, waitingRange } from "./Keys.ts"
import type { Command, Reply } from "./Protocol.ts"
import { count, loadJob, loadStats, move } from "./Transitions.ts"

/** Most jobs whose time runs out by one command; the rest follow with the next. */
const maxExpired = 500

type Of<Tag extends Command["_tag"]> = Extract<Command, { readonly _tag: Tag }>
type Result = Effect.fn.Return<Reply, StorageError>

const enqueue = Effect.fnUntraced(function*(rows: Rows, command: Of<"Enqueue">, at: ApplyContext): Result {
  const { delayMs, key, maxAttempts, payload, queue } = command
  const known = yield* rows.get(dedupeKey(queue, key))
  if (known !== undefined) {
    yield* count(rows, queue, { duplicates: 1 })
    return { _tag: "Enqueued", job: jobOf(known), duplicate: true }
  }
  const { waiting } = yield* loadStats(rows, queue)
  if (waiting >= maxWaiting) return { _tag: "Full", waiting }
  // The place in the log is a number that no other job has, on every node the same.
  const job: Job = {
    id: at.index,
    queue,
    key,
    payload,
    state: "waiting",
    atMs: at.timeMs + delayMs,
    attempts: 0,
    maxAttempts,
    receipt: null,
    failure: null
  }
  yield* move(rows, undefined, job)
  yield* count(rows, queue, { enqueued: 1 })
  return { _tag: "Enqueued", job: job.id, duplicate: false }
})

const take = Effect.fnUntraced(
  function*(rows: Rows, { leaseMs, queue, receipt }: Of<"Take">, at: ApplyContext): Result {
    const holding = yield* rows.get(receiptKey(queue, receipt))
    // The same take again, because its answer was lost: the same job.
    const held = holding === undefined ? undefined : yield* loadJob(rows, jobOf(holding))
    if (held !== undefined) return { _tag: "Taken", job: held }
    const [first] = yield* rows.scan(readyRange(queue, at.timeMs), 1)
    const job = first === undefined ? undefined : yield* loadJob(rows, jobOf(first.key))
    if (job === undefined) {
      const [next] = yield* rows.scan(waitingRange(queue), 1)
      return { _tag: "Empty", nextAtMs: next === undefined ? null : timeOf(next.key) }
    }
    const taken: Job = { ...job, state: "taken", atMs: at.timeMs + leaseMs, attempts: job.attempts + 1, receipt }
    yield* move(rows, job, taken)
    return { _tag: "Taken", job: taken }
  }
)

/** The job that a receipt speaks of, whatever became of it; `undefined` when it is another's by now. */
const received = (rows: Rows, { job, receipt }: Of<"Complete" | "Fail" | "Extend">) =>
  Effect.map(loadJob(rows, job), (found) => found?.receipt === receipt ? found : undefined)

const complete = Effect.fnUntraced(function*(rows: Rows, command: Of<"Complete">, at: ApplyContext): Result {
  const job = yield* received(rows, command)
  if (job?.state === "done") return { _tag: "Completed" }
  if (job?.state !== "taken") return { _tag: "NotHeld" }
  yield* move(rows, job, { ...job, state: "done", atMs: at.timeMs + keepMs })
  yield* count(rows, job.queue, { completed: 1 })
  return { _tag: "Completed" }
})

/** What becomes of a job whose attempt came to nothing. */
const afterAttempt = (job: Job, failure: string, retryAtMs: number, timeMs: number): Job =>
  job.attempts < job.maxAttempts
    ? { ...job, state: "waiting", atMs: retryAtMs, failure }
    : { ...job, state: "dead", atMs: timeMs + keepMs, failure }

const outcome = ({ atMs, state }: Job): Reply => state === "dead" ? { _tag: "Died" } : { _tag: "Retrying", atMs }

const fail = Effect.fnUntraced(function*(rows: Rows, command: Of<"Fail">, at: ApplyContext): Result {
  const job = yield* received(rows, command)
  if (job === undefined || job.state === "done") return { _tag: "NotHeld" }
  if (job.state !== "taken") return outcome(job)
  const after = afterAttempt(job, command.reason, at.timeMs + command.delayMs, at.timeMs)
  yield* move(rows, job, after)
  return outcome(after)
})

const extend = Effect.fnUntraced(function*(rows: Rows, command: Of<"Extend">, at: ApplyContext): Result {
  const job = yield* received(rows, command)
  if (job?.state !== "taken") return { _tag: "NotHeld" }
  const untilMs = at.timeMs + command.leaseMs
  yield* move(rows, job, { ...job, atMs: untilMs })
  return { _tag: "Extended", untilMs }
})

const revive = Effect.fnUntraced(function*(rows: Rows, command: Of<"Revive">, at: ApplyContext): Result {
  const job = yield* loadJob(rows, command.job)
  if (job?.state !== "dead") return { _tag: "NotDead" }
  yield* move(rows, job, { ...job, state: "waiting", atMs: at.timeMs, attempts: 0, receipt: null })
  return { _tag: "Revived" }
})

/** Decided by the clock of the log, so a leader that proposes it early, late or twice does no harm. */
const expire = Effect.fnUntraced(function*(rows: Rows, at: ApplyContext): Result {
  const due = yield* rows.scan(dueRange(at.timeMs), maxExpired)
  for (const { key } of due) {
    const job = yield* loadJob(rows, jobOf(key))
    if (job === undefined) continue
    yield* move(
      rows,
      job,
      job.state === "taken"
        ? { ...afterAttempt(job, "its time ran out", at.timeMs, at.timeMs), receipt: null }
        : undefined
    )
  }
  return { _tag: "Expired", jobs: due.length }
})

export const apply = (rows: Rows, command: Command, at: ApplyContext): Effect.Effect<Reply, StorageError> => {
  switch (command._tag) {
    case "Enqueue":
      return enqueue(rows, command, at)
    case "Take":
      return take(rows, command, at)
    case "Complete":
      return complete(rows, command, at)
    case "Fail":
      return fail(rows, command, at)
    case "Extend":
      return extend(rows, command, at)
    case "Revive":
      return revive(rows, command, at)
    case "Expire":
      return expire(rows, at)
  }
}
