/** The rows of a key-value store in memory, to carry batches out on and to start again from. */
import { assert } from "@effect/vitest"
import type { Batch } from "../../src/kv/model/Batch.ts"
import { decodeRole } from "../../src/kv/model/access/Role.ts"
import { decodeUser } from "../../src/kv/model/access/User.ts"
import { decodeMetadata } from "../../src/kv/model/StoreMetadata.ts"
import { loadBlock } from "../../src/kv/model/HistoryBlock.ts"
import {
  idOf,
  leaseRange,
  metadataKey,
  nameOf,
  replyBlockRange,
  replyRange,
  roleRange,
  sequenceOf,
  sessionRange,
  userRange
} from "../../src/kv/model/Keyspace.ts"
import { decodeLease } from "../../src/kv/model/Lease.ts"
import type { Load, Loading, StoredRow } from "../../src/kv/model/Loading.ts"
import { decodeSession } from "../../src/kv/model/Session.ts"
import { State } from "../../src/kv/model/State.ts"

/** Bytes as one character each, and back. */
export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")
export const bytes = (value: string): Uint8Array => Buffer.from(value, "latin1")

/** A store of rows in a map; loads are answered at once. */
export class Store {
  readonly rows = new Map<string, Uint8Array>()
  /** The first bytes of all keys that were written. */
  readonly written = new Set<number>()
  private readonly limits: ConstructorParameters<typeof State>[0]

  constructor(limits: ConstructorParameters<typeof State>[0] = {}) {
    this.limits = limits
  }

  sorted(): ReadonlyArray<StoredRow> {
    return this.rowsOf([...this.rows.keys()])
  }

  within({ gte, lt }: { readonly gte: Uint8Array; readonly lt: Uint8Array }): ReadonlyArray<StoredRow> {
    // Characters of one byte are in the order of the bytes.
    const [from, to] = [text(gte), text(lt)]
    return this.rowsOf([...this.rows.keys()].filter((key) => key >= from && key < to))
  }

  private rowsOf(keys: Array<string>): ReadonlyArray<StoredRow> {
    return keys.sort((a, b) => a < b ? -1 : 1).map((key) => ({ key: bytes(key), value: this.rows.get(key)! }))
  }

  load(request: Load): ReadonlyArray<StoredRow> {
    if (request._tag === "LoadKeys") {
      return request.keys.flatMap((key) => {
        const value = this.rows.get(text(key))
        return value === undefined ? [] : [{ key, value }]
      })
    }
    const rows = [...this.within(request.range)]
    if (request.reverse) rows.reverse()
    let bytes = 0
    const last = rows.findIndex(({ key, value }) => (bytes += key.length + value.length) >= request.maxBytes)
    return rows.slice(0, last < 0 ? request.limit : Math.min(request.limit, last + 1))
  }

  run<A>(loading: Loading<A>): A {
    let step = loading.next([])
    while (step.done !== true) step = loading.next(this.load(step.value))
    return step.value
  }

  commit(batch: Batch): void {
    for (const change of batch.changes()) {
      if ("key" in change) this.written.add(change.key[0] as number)
      if (change._tag === "Put") this.rows.set(text(change.key), Uint8Array.from(change.value))
      else if (change._tag === "Delete") this.rows.delete(text(change.key))
      else for (const { key } of this.within({ gte: change.start, lt: change.end })) this.rows.delete(text(key))
    }
  }

  /** The memory of a machine that starts on this store. */
  recover(): State {
    const state = new State(this.limits)
    state.metadata = decodeMetadata(this.rows.get(text(metadataKey))) ?? assert.fail("no metadata")
    const { revision } = state.metadata
    if (revision > 0) state.lastBlock = this.run(loadBlock(revision))
    for (const { key, value } of this.within(leaseRange)) {
      state.leases.set(decodeLease(idOf(key), value) ?? assert.fail("no lease"))
    }
    for (const { key, value } of this.within(sessionRange)) {
      state.sessions.open(idOf(key), decodeSession(value) ?? assert.fail("no session"))
    }
    for (const { key, value } of this.within(replyRange)) {
      const session = state.sessions.get(idOf(key)) ?? assert.fail("a reply without its session")
      assert.isTrue(session.loadLarge(sequenceOf(key), value))
    }
    for (const { key, value } of this.within(replyBlockRange)) {
      assert.isTrue(state.sessions.get(idOf(key))?.loadBlock(sequenceOf(key), value))
    }
    for (const { key, value } of this.within(roleRange)) {
      state.access.setRole(decodeRole(nameOf(key), value) ?? assert.fail("no role"))
    }
    for (const { key, value } of this.within(userRange)) {
      state.access.setUser(decodeUser(nameOf(key), value) ?? assert.fail("no user"))
    }
    return state
  }
}
