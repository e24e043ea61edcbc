/** What time itself asks of the key-value store: the end of leases and sessions, the end of old history. */
import { Effect } from "effect"
import type { Command } from "./model/Command.ts"
import { maxRangeDeletes } from "./model/Limits.ts"
import type { State } from "./model/State.ts"
import type { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { HistoryCut } from "./HistoryCut.ts"

/**
 * While leases wait, the log tells the time at least this often: it is how far off they can be after all nodes stopped.
 */
const leaseCheckpointMs = 1_000

/** The same for sessions, whose time is longer and less delicate. */
const sessionCheckpointMs = 60_000

/** Most leases and sessions that one command ends. */
const maxExpired = 1_000

/** The commands that are due at `logTimeMs`. */
export const dueCommands = Effect.fnUntraced(function*(
  store: StateStore["Service"],
  state: State,
  history: HistoryCut,
  logTimeMs: number
): Effect.fn.Return<ReadonlyArray<Command>, StorageError> {
  const commands: Array<Command> = []
  const leases = endedLeases(state, logTimeMs)
  const sessions = state.sessions.expired(logTimeMs, maxExpired)
  if (leases.length > 0 || sessions.length > 0) commands.push({ _tag: "Expire", leases, sessions })
  const revision = yield* history.revision(store, state.metadata, logTimeMs)
  if (revision !== undefined) commands.push({ _tag: "Compact", through: revision })
  const silenceMs = logTimeMs - state.metadata.logTimeMs
  const checkpoint = state.leases.size > 0 && silenceMs >= leaseCheckpointMs ||
    state.sessions.size > 0 && silenceMs >= sessionCheckpointMs
  if (commands.length === 0 && checkpoint) commands.push({ _tag: "Checkpoint" })
  return commands
})

/**
 * Milliseconds after `logTimeMs` before which nothing becomes due that has to be punctual, as the state is now.
 * Leases are: by them the log tells the time every second, too. What ends history may come a second later.
 */
export const untilDueMs = ({ leases, sessions }: State, logTimeMs: number): number =>
  leases.size > 0 ? 0 : sessions.untilExpiredMs(logTimeMs)

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
