/** What the cases for {@link LogStore}s are made of. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import type { Entry, EntryKind, HardState, TermRun } from "../raft/Types.ts"
import { LogIndex, NodeId, Term } from "../raft/Types.ts"
import type { LogStore, LogWrite } from "../storage/LogStore.ts"
import type { OpenError } from "../storage/StorageError.ts"
import type { ConformanceCase } from "./Conformance.ts"

/** Starts a node on the disk of a case, and stops it. */
export type Start = <A, E>(use: (store: LogStore["Service"]) => Effect.Effect<A, E>) => Effect.Effect<A, E | OpenError>

export type Test = (name: string, run: (start: Start) => Effect.Effect<void, unknown>) => ConformanceCase

/** An entry whose payload can be told from every other entry's. */
export const sampleEntry = (index: number, term: number, payload = `payload ${index} of term ${term}`): Entry => ({
  index: LogIndex(index),
  term: Term(term),
  kind: "command" satisfies EntryKind,
  timestampMs: 1_700_000_000_000 + index,
  payload: new TextEncoder().encode(payload)
})

/** The entries `from..through`, all of `term`. */
export const sampleEntries = (from: number, through: number, term: number): ReadonlyArray<Entry> =>
  Array.from({ length: through - from + 1 }, (_, i) => sampleEntry(from + i, term))

/** A write of `entries`, and of whatever else is given. */
export const writeOf = (entries: ReadonlyArray<Entry>, rest: Partial<LogWrite> = {}): LogWrite => ({
  hardState: undefined,
  truncateFrom: undefined,
  entries,
  ...rest
})

export const hardState = (term: number, votedFor: number | undefined, commit: number): HardState => ({
  term: Term(term),
  votedFor: votedFor === undefined ? undefined : NodeId(votedFor),
  commit: LogIndex(commit)
})

export const runs = (...pairs: ReadonlyArray<readonly [firstIndex: number, term: number]>): ReadonlyArray<TermRun> =>
  pairs.map(([firstIndex, term]) => ({ firstIndex: LogIndex(firstIndex), term: Term(term) }))

export const point = (index: number, term: number) => ({ index: LogIndex(index), term: Term(term) })

/** Entries as plain values: which bytes object holds a payload is the store's business. */
export const plain = (entries: ReadonlyArray<Entry>) =>
  entries.map(({ index, kind, payload, timestampMs, term }) => ({
    index,
    term,
    kind,
    timestampMs,
    payload: Buffer.from(payload).toString("hex")
  }))

export const everything = Number.MAX_SAFE_INTEGER

/** Reads `from..through` and compares it with `expected`. */
export const holds = Effect.fnUntraced(function*(
  store: LogStore["Service"],
  from: number,
  through: number,
  expected: ReadonlyArray<Entry>
) {
  const entries = yield* store.read(LogIndex(from), LogIndex(through), everything)
  assert.deepEqual(plain(entries), plain(expected))
})
