/** The jobs of a batch and their moves from state to state: whatever else speaks of a job moves with it. */
import { Effect } from "effect"
import type { Rows, StorageError } from "flaredb/machine"
import { InvalidArgument, StorageCorruption } from "flaredb/machine"
import type { Job, Stats } from "./Job.ts"
import { noStats } from "./Job.ts"
import { deadKey, dedupeKey, encodeJobId, jobKey, receiptKey, statsKey, timerKey, waitingKey } from "./Keys.ts"
import { jobBytes, statsBytes } from "./Protocol.ts"

const nothing = new Uint8Array(0)

/** The value in a row, which only a damaged store does not hold. */
const stored = <A>(what: string, value: A | InvalidArgument): Effect.Effect<A, StorageError> =>
  value instanceof InvalidArgument
    ? Effect.fail(
      new StorageCorruption({ path: "the state family", detail: `a row of ${what} is malformed`, safe: "the log" })
    )
    : Effect.succeed(value)

export const loadJob = (rows: Pick<Rows, "get">, id: number): Effect.Effect<Job | undefined, StorageError> =>
  Effect.flatMap(
    rows.get(jobKey(id)),
    (row): Effect.Effect<Job | undefined, StorageError> =>
      row === undefined ? Effect.succeed(undefined) : stored<Job>("jobs", jobBytes.decode(row))
  )

export const loadStats = (rows: Pick<Rows, "get">, queue: string): Effect.Effect<Stats, StorageError> =>
  Effect.flatMap(
    rows.get(statsKey(queue)),
    (row) => row === undefined ? Effect.succeed(noStats) : stored<Stats>("figures", statsBytes.decode(row))
  )

/** The rows beside the job itself that say where it stands. */
const indexKeys = (job: Job): ReadonlyArray<Uint8Array> => {
  switch (job.state) {
    case "waiting":
      return [waitingKey(job)]
    case "taken":
      return [timerKey(job), receiptKey(job.queue, job.receipt as string)]
    case "done":
      return [timerKey(job)]
    case "dead":
      return [timerKey(job), deadKey(job)]
  }
}

/** Counts a change of a queue's figures; `delta` names those that change. */
export const count = (
  rows: Rows,
  queue: string,
  delta: { readonly [K in keyof Stats]?: number }
): Effect.Effect<void, StorageError> =>
  Effect.map(loadStats(rows, queue), (stats) => {
    const next = { ...stats }
    for (const name of Object.keys(delta) as ReadonlyArray<keyof Stats>) next[name] += delta[name] ?? 0
    rows.put(statsKey(queue), statsBytes.encode(next))
  })

/** Moves a job: `before` is what it was, absent for a new one; `after` what it is, absent for one to be forgotten. */
export const move = Effect.fnUntraced(function*(
  rows: Rows,
  before: Job | undefined,
  after: Job | undefined
): Effect.fn.Return<void, StorageError> {
  const job = (after ?? before) as Job
  for (const key of before === undefined ? [] : indexKeys(before)) rows.delete(key)
  if (after === undefined) {
    rows.delete(jobKey(job.id))
    rows.delete(dedupeKey(job.queue, job.key))
  } else {
    for (const key of indexKeys(after)) rows.put(key, after.state === "taken" ? encodeJobId(after.id) : nothing)
    if (before === undefined) rows.put(dedupeKey(job.queue, job.key), encodeJobId(job.id))
    rows.put(jobKey(job.id), jobBytes.encode(after))
  }
  if (before?.state !== after?.state) {
    if (before !== undefined) yield* count(rows, job.queue, { [before.state]: -1 })
    if (after !== undefined) yield* count(rows, job.queue, { [after.state]: 1 })
  }
})
