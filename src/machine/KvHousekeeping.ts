/** What time itself asks of the key-value store: the end of leases and sessions, the end of old history. */
import { Effect } from "effect"
import type { Command } from "../kv/Command.ts"
import type { RevisionHead } from "../kv/History.ts"
import { decodeRevisionHead } from "../kv/History.ts"
import { revisionKey } from "../kv/Keyspace.ts"
import { maxRangeDeletes } from "../kv/Limits.ts"
import type { State } from "../kv/State.ts"
import type { StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { corrupt } from "./KvLoader.ts"
import { loadFigures } from "./KvQueries.ts"

/** How much history is kept for watches, whichever bound is met first. */
export interface HistoryLimits {
  /** Revisions. */
  readonly maxHistoryRevisions: number
  /** Bytes of changes. */
  readonly maxHistoryBytes: number
  /** Milliseconds, by the log's clock. */
  readonly maxHistoryAgeMs: number
}

export const defaultHistoryLimits: HistoryLimits = {
  maxHistoryRevisions: 1_000_000,
  maxHistoryBytes: 512 * 1024 * 1024,
  maxHistoryAgeMs: 3_600_000
}

/** History grows past a bound by this share before it is cut back to it, so that it is not cut all the time. */
const slack = 0.1

/** While leases wait, the log tells the time at least this often: it is how far off they can be after all nodes stopped. */
const leaseCheckpointMs = 1_000

/** The same for sessions, whose time is longer and less delicate. */
const sessionCheckpointMs = 60_000

/** Most leases and sessions that one command ends. */
const maxExpired = 1_000

/** The commands that are due at `logTimeMs`. */
export const dueCommands = Effect.fnUntraced(function*(
  store: StateStore["Service"],
  state: State,
  limits: HistoryLimits,
  logTimeMs: number
): Effect.fn.Return<ReadonlyArray<Command>, StorageError> {
  const commands: Array<Command> = []
  const leases = endedLeases(state, logTimeMs)
  const sessions = state.sessions.expired(logTimeMs, maxExpired)
  if (leases.length > 0 || sessions.length > 0) commands.push({ _tag: "Expire", leases, sessions })
  // From one moment of the store: what is in memory may be ahead of it, in the middle of a batch.
  const revision = yield* store.withView((view) => cutRevision(view, limits, logTimeMs))
  if (revision !== undefined) commands.push({ _tag: "Compact", revision })
  const silenceMs = logTimeMs - state.figures.logTimeMs
  const checkpoint = state.leases.size > 0 && silenceMs >= leaseCheckpointMs ||
    state.sessions.size > 0 && silenceMs >= sessionCheckpointMs
  if (commands.length === 0 && checkpoint) commands.push({ _tag: "Checkpoint" })
  return commands
})

/** As many ended leases as one command may end, by the keys that it deletes. */
const endedLeases = (state: State, logTimeMs: number): ReadonlyArray<number> => {
  const ids: Array<number> = []
  let keys = 0
  for (const id of state.leases.expired(logTimeMs, maxExpired)) {
    keys += state.leases.get(id)?.keys ?? 0
    if (ids.length > 0 && keys > maxRangeDeletes) break
    ids.push(id)
  }
  return ids
}

/** Up to which revision history should go; `undefined` when it should stay. */
const cutRevision = Effect.fnUntraced(function*(
  view: StateView,
  { maxHistoryAgeMs, maxHistoryBytes, maxHistoryRevisions }: HistoryLimits,
  logTimeMs: number
) {
  const { compacted, compactedBytes, historyBytes, revision } = yield* loadFigures(view)
  const kept = revision - compacted
  if (kept === 0) return undefined
  const head = (at: number) => readHead(view, at)
  let cut = compacted
  if (kept > maxHistoryRevisions * (1 + slack)) cut = revision - maxHistoryRevisions
  if (historyBytes - compactedBytes > maxHistoryBytes * (1 + slack)) {
    const fits = (row: RevisionHead) => historyBytes - row.historyBytes <= maxHistoryBytes
    cut = Math.max(cut, yield* firstRevision(compacted + 1, revision, head, fits))
  }
  const oldest = yield* head(compacted + 1)
  if (oldest.logTimeMs < logTimeMs - maxHistoryAgeMs * (1 + slack)) {
    const young = (row: RevisionHead) => row.logTimeMs >= logTimeMs - maxHistoryAgeMs
    cut = Math.max(cut, (yield* firstRevision(compacted + 1, revision + 1, head, young)) - 1)
  }
  return cut > compacted ? cut : undefined
})

const readHead = (view: StateView, revision: number): Effect.Effect<RevisionHead, StorageError> =>
  Effect.flatMap(view.getMany([revisionKey(revision)]), ([bytes]) => {
    const head = bytes === undefined ? undefined : decodeRevisionHead(bytes)
    return head === undefined
      ? Effect.fail(corrupt(`the history of revision ${revision} is missing or cut short`))
      : Effect.succeed(head)
  })

/** The first of `from..through` for which `holds`, which stays true once it is; `through` is not looked at. */
const firstRevision = Effect.fnUntraced(function*(
  from: number,
  through: number,
  head: (revision: number) => Effect.Effect<RevisionHead, StorageError>,
  holds: (row: RevisionHead) => boolean
) {
  let low = from
  let high = through
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    if (holds(yield* head(middle))) high = middle
    else low = middle + 1
  }
  return low
})
