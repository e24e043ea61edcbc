/**
 * The queue as a state machine: the layer that a node runs in place of the key-value store.
 */
import { Effect } from "effect"
import type { RowMachine, StateView, StorageError } from "flaredb/machine"
import { layer as layerMachine } from "flaredb/machine"
import { apply } from "./Apply.ts"
import type { Job } from "./Job.ts"
import { deadRange, dedupeKey, dueRange, jobKey, jobOf, receiptKey, statsKey } from "./Keys.ts"
import type { Answer, Command, Query } from "./Protocol.ts"
import { answerBytes, commandBytes, queryBytes, replyBytes } from "./Protocol.ts"
import { loadJob, loadStats } from "./Transitions.ts"

/** The rows a command reads for certain. */
const keysOf = (command: Command): ReadonlyArray<Uint8Array> => {
  switch (command._tag) {
    case "Enqueue":
      return [dedupeKey(command.queue, command.key), statsKey(command.queue)]
    case "Take":
      return [receiptKey(command.queue, command.receipt), statsKey(command.queue)]
    case "Expire":
      return []
    default:
      return [jobKey(command.job)]
  }
}

const answer = Effect.fnUntraced(function*(view: StateView, query: Query): Effect.fn.Return<Answer, StorageError> {
  const rows = { get: (key: Uint8Array) => Effect.map(view.getMany([key]), ([value]) => value) }
  switch (query._tag) {
    case "Stats":
      return { _tag: "StatsOf", stats: yield* loadStats(rows, query.queue) }
    case "Dead": {
      const found = yield* view.scan({ ...deadRange(query.queue), limit: query.limit })
      const jobs = yield* Effect.forEach(found, ({ key }) => loadJob(rows, jobOf(key)))
      return { _tag: "Jobs", jobs: jobs.filter((job): job is Job => job !== undefined) }
    }
    case "Find": {
      const row = yield* rows.get(dedupeKey(query.queue, query.key))
      const job = row === undefined ? undefined : yield* loadJob(rows, jobOf(row))
      return { _tag: "Jobs", jobs: job === undefined ? [] : [job] }
    }
  }
})

const expire = [commandBytes.encode({ _tag: "Expire" })]

export const jobMachine: RowMachine<Command, Query> = {
  name: "example/job-queue/1",
  decodeCommand: commandBytes.decode,
  keysOf,
  apply: (rows, command, at) => Effect.map(apply(rows, command, at), replyBytes.encode),
  decodeQuery: queryBytes.decode,
  query: (view, query) => Effect.map(answer(view, query), answerBytes.encode),
  due: (view, timeMs) =>
    Effect.map(
      view.scan({ ...dueRange(timeMs), limit: 1, keysOnly: true }),
      (rows) => rows.length === 0 ? [] : expire
    )
}

export const layer = layerMachine(jobMachine)
