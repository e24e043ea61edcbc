/** What the key-value machine keeps in memory, read from its rows. */
import { Effect } from "effect"
import { contains, successor } from "../bytes/KeyRange.ts"
import { decodeRole } from "./model/access/Role.ts"
import { decodeUser } from "./model/access/User.ts"
import { loadBlock } from "./model/HistoryBlock.ts"
import type { StoredRange } from "./model/Keyspace.ts"
import {
  idOf,
  leaseRange,
  nameOf,
  replyBlockRange,
  replyRange,
  roleRange,
  sequenceOf,
  sessionRange,
  userRange
} from "./model/Keyspace.ts"
import { decodeLease } from "./model/Lease.ts"
import { decodeSession } from "./model/Session.ts"
import { State } from "./model/State.ts"
import type { StateRow, StateView } from "../storage/StateStore.ts"
import { corrupt, runLoading } from "../machine/KvLoader.ts"
import { loadMetadata } from "./StoredMetadata.ts"

/** Rows, and bytes of rows, read at once while the memory of the machine is filled. */
const loadChunk = 512
const loadBytes = 4 * 1024 * 1024

/** Hands every row of a range to `use`. */
const forEachRow = Effect.fnUntraced(function*(
  view: StateView,
  { gte, lt }: StoredRange,
  use: (row: StateRow) => boolean
) {
  let from = gte
  for (;;) {
    const rows: ReadonlyArray<StateRow> = yield* view.scan({ gte: from, lt, limit: loadChunk, maxBytes: loadBytes })
    let bytes = 0
    for (const row of rows) {
      bytes += row.key.byteLength + row.value.byteLength
      if (!use(row)) return yield* corrupt(`the row ${Buffer.from(row.key).toString("hex")} is malformed`)
    }
    const last = rows[rows.length - 1]
    if (last === undefined || rows.length < loadChunk && bytes < loadBytes) return
    from = successor(last.key)
  }
})

/** Takes a block of replies, a role or a user into memory. `false` when it is malformed. */
const loadLast = ({ access, sessions }: State, { key, value }: StateRow): boolean => {
  if (contains(replyBlockRange, key)) return sessions.get(idOf(key))?.loadBlock(sequenceOf(key), value) ?? false
  if (contains(roleRange, key)) {
    const role = decodeRole(nameOf(key), value)
    if (role !== undefined) access.setRole(role)
    return role !== undefined
  }
  if (contains(userRange, key)) {
    const user = decodeUser(nameOf(key), value)
    if (user !== undefined) access.setUser(user)
    return user !== undefined
  }
  // Other rows about sessions, of later formats, are not read.
  return true
}

/** Reads metadata, leases, sessions and their kept replies, roles and users, and the last block of the history. */
export const loadState = Effect.fnUntraced(function*(view: StateView) {
  const state = new State()
  state.metadata = yield* loadMetadata(view)
  const { revision } = state.metadata
  if (revision > 0) {
    state.lastBlock = yield* runLoading(view, loadBlock(revision))
    if (state.lastBlock.last > revision) return yield* corrupt(`the history goes on behind revision ${revision}`)
  }
  yield* forEachRow(view, leaseRange, ({ key, value }) => {
    const lease = decodeLease(idOf(key), value)
    if (lease !== undefined) state.leases.set(lease)
    return lease !== undefined
  })
  yield* forEachRow(view, sessionRange, ({ key, value }) => {
    const record = decodeSession(value)
    if (record !== undefined) state.sessions.open(idOf(key), record)
    return record !== undefined
  })
  yield* forEachRow(
    view,
    replyRange,
    ({ key, value }) => state.sessions.get(idOf(key))?.loadLarge(sequenceOf(key), value) ?? false
  )
  // What is behind the large replies in one go: mostly that is little.
  const last = { gte: replyBlockRange.gte, lt: userRange.lt }
  yield* forEachRow(view, last, (row) => loadLast(state, row))
  return state
})
