/**
 * The actors on the status page of a node: a summary that reads a bounded number of keys, stale ones of the node
 * itself. It reads only when the page is requested.
 */
import { Clock, Effect } from "effect"
import { formatDuration } from "../../DurationText.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import type { Leases } from "../../client/Lease.ts"
import type { OverviewOptions } from "./Reader.ts"
import { Reader } from "./Reader.ts"
import type { Count, Summary } from "./Summary.ts"
import { summary } from "./Summary.ts"

/** Shards and runners that are named on the page. */
const maxNamed = 20

const shown = ({ atLeast, count }: Count): string => atLeast ? `at least ${count}` : String(count)

const listed = (names: ReadonlyArray<string>): string =>
  names.length === 0
    ? "none"
    : names.slice(0, maxNamed).join(", ") + (names.length > maxNamed ? ` and ${names.length - maxNamed} more` : "")

const tablesOf = (now: Summary, nowMs: number) => {
  const { deadLetters, messages, moreQueues, oldestMs, queues, runners, shardsHeld, shardsWithoutOwner } = now
  if (runners.length === 0 && messages.count === 0 && queues.length === 0 && deadLetters.count === 0) return []
  const healthy = runners.filter((runner) => runner.healthy).length
  const actors = [
    ["runners", `${healthy} of ${runners.length} healthy`],
    ...runners.slice(0, maxNamed).map(({ address, healthy, registered, shards }) =>
      [address, `${registered ? healthy ? "healthy" : "unhealthy" : "gone"}, ${shards} shards`] as const
    ),
    ["shards with an owner", shardsHeld],
    ["with messages and no owner", listed(shardsWithoutOwner)],
    ["messages without a reply", shown(messages)],
    ["oldest of them", oldestMs === undefined ? "none" : `${formatDuration(Math.max(0, nowMs - oldestMs))} ago`],
    ["dead letters", shown(deadLetters)]
  ] as const
  const rows = queues.map(({ deadLetters, elements, name }) =>
    [name, `${shown(elements)} elements, ${deadLetters} dead letters`] as const
  )
  return [
    { title: "Actors", rows: actors },
    ...rows.length === 0
      ? []
      : [{ title: "Queues", rows: moreQueues ? [...rows, ["…", "there are more"] as const] : rows }]
  ]
}

/** The section of a cluster of runners; give it to `StatusSections` of the node. */
export const statusSection = (
  kv: KeyValue["Service"],
  leases: Leases["Service"],
  options: OverviewOptions = {}
) => ({
  name: "actors",
  read: Effect.gen(function*() {
    const now = yield* summary(new Reader(kv, leases, { consistency: "stale", ...options }))
    return { json: now, tables: tablesOf(now, yield* Clock.currentTimeMillis) }
  })
})
