/**
 * Both stores in memory, for tests and for `FlareDb.layerMemory`.
 *
 * A {@link MemoryDisk} outlives the layer built on it, so a test can crash a node and start it again on what it had
 * made durable: log writes are durable when they return, state commits only once a later sync covered them.
 */
import { Effect, Layer, Semaphore } from "effect"
import type { FeatureLevel } from "../../protocol/FeatureLevel.ts"
import { isStateKey } from "../../protocol/StateRows.ts"
import { entryBytes } from "../../raft/Config.ts"
import type { ConfState, Entry, HardState, LogPoint, TermRun } from "../../raft/Types.ts"
import { lastTimestampOf, LogIndex, NodeId, origin, Term } from "../../raft/Types.ts"
import type { LogWrite } from "../LogStore.ts"
import { LogStore } from "../LogStore.ts"
import { SortedRows } from "./SortedRows.ts"
import type { ReplacedState, ScanOptions, StateChange, StateImport, StateRow, StateView } from "../StateStore.ts"
import { StateStore } from "../StateStore.ts"
import { FirstFailure } from "../FirstFailure.ts"
import type { StorageError } from "../StorageError.ts"
import { StorageIoError } from "../StorageError.ts"

interface StateImage {
  /** Replaced, never changed, so a view can keep it. */
  readonly rows: SortedRows
  readonly applied: LogPoint
  /** The last entry of the snapshot it came from, if it came from one. */
  readonly installed?: LogPoint
}

/** What one simulated disk holds. */
export class MemoryDisk {
  readonly confState: ConfState
  hardState: HardState
  /** The feature level that a node needs to read it; absent below the second. */
  requiredLevel: FeatureLevel | undefined
  compacted: LogPoint = origin
  /** Entry `i` has index `compacted.index + 1 + i`. */
  entries: Array<Entry> = []
  state: StateImage = { rows: SortedRows.empty, applied: origin }
  private durableState: StateImage = this.state
  /** When set, every write and sync fails with this reason, as a broken disk does. */
  failWrites: string | undefined
  /** What the store of the running node found out between calls; a start begins without. */
  failure = new FirstFailure("memory")
  /** The rows of an import that is not finished. A start discards them. */
  imported: Array<StateRow> | undefined
  /** The state that the last import took the place of. */
  replaced: StateImage | undefined
  /** Gets the name of each write once it is done, so that a test may look at what a crash would leave behind. */
  onWrite: (operation: string) => void = () => {}
  /** Durable log writes so far. */
  appends = 0

  constructor(voters: ReadonlyArray<number>) {
    this.confState = { voters: voters.map(NodeId) }
    this.hardState = {
      term: Term(0),
      votedFor: undefined,
      commit: LogIndex(0),
      ...(voters.length > 1 ? { membership: "unknown" } : {})
    }
  }

  /** A disk as a power loss now would leave it. */
  image(): MemoryDisk {
    const image = new MemoryDisk(this.confState.voters)
    image.hardState = this.hardState
    image.compacted = this.compacted
    image.entries = [...this.entries]
    image.state = this.durableState
    image.durableState = this.durableState
    image.replaced = this.replaced
    return image
  }

  /** Power loss: state commits that no later sync covered are gone. */
  loseUnsynced(): void {
    this.state = this.durableState
  }

  /** Makes the imported rows the state, durably. */
  install(point: LogPoint): void {
    const rows = SortedRows.from(this.imported ?? [])
    this.imported = undefined
    if (this.state.applied.index > 0) this.replaced = this.state
    this.state = { rows, applied: point, installed: point }
    this.sync()
  }

  get last(): LogPoint {
    const entry = this.entries[this.entries.length - 1]
    return entry === undefined ? this.compacted : { index: entry.index, term: entry.term }
  }

  /** The write-ahead log is shared, so syncing the log makes the state before it durable as well. */
  sync(): void {
    this.durableState = this.state
  }

  append(write: LogWrite): void {
    if (write.hardState !== undefined) this.hardState = write.hardState
    if (write.truncateFrom !== undefined) {
      this.entries.length = Math.max(0, write.truncateFrom - this.compacted.index - 1)
    }
    for (const entry of write.entries) {
      if (entry.index !== this.last.index + 1) {
        throw new RangeError(`entry ${entry.index} does not follow the log's end at ${this.last.index}`)
      }
      this.entries.push(entry)
    }
  }

  /** Replaces the log by "everything up to `point` is in the state". */
  reset(point: LogPoint): void {
    this.entries = []
    this.compacted = point
    this.sync()
  }

  /** After a crash between the installation of a snapshot and what it means for the log. */
  finishInstall(): void {
    const { installed } = this.state
    if (installed === undefined || installed.index <= this.compacted.index) return
    const entry = this.entries[installed.index - this.compacted.index - 1]
    if (entry?.term !== installed.term) this.reset(installed)
  }

  compact(through: LogPoint): void {
    if (through.index <= this.compacted.index) return
    this.entries.splice(0, through.index - this.compacted.index)
    this.compacted = through
  }

  termRuns(): ReadonlyArray<TermRun> {
    const runs: Array<TermRun> = []
    for (const entry of this.entries) {
      if (entry.term !== runs[runs.length - 1]?.term) runs.push({ firstIndex: entry.index, term: entry.term })
    }
    return runs
  }
}

/** Runs `work` unless the disk is broken. */
const attempt = <A>(disk: MemoryDisk, operation: string, work: () => A): Effect.Effect<A, StorageError> =>
  Effect.suspend(() => {
    if (disk.failWrites !== undefined) {
      disk.failure.record(new StorageIoError({ operation, path: "memory", cause: new Error(disk.failWrites) }))
    }
    if (disk.failure.error !== undefined) return Effect.fail(disk.failure.error)
    return Effect.sync(() => {
      const result = work()
      disk.onWrite(operation)
      return result
    })
  })

const makeLog = (disk: MemoryDisk): LogStore["Service"] => ({
  recovered: {
    hardState: disk.hardState,
    confState: disk.confState,
    compacted: disk.compacted,
    lastIndex: disk.last.index,
    bytes: disk.entries.reduce((bytes, entry) => bytes + entryBytes(entry), 0),
    lastTimestampMs: lastTimestampOf(disk.entries),
    termRuns: disk.termRuns()
  },
  append: (writes) =>
    attempt(disk, "append", () => {
      for (const write of writes) disk.append(write)
      disk.appends += 1
      disk.sync()
    }),
  read: (from, through, maxBytes) =>
    Effect.sync(() => {
      if (from > through || from <= disk.compacted.index) return []
      const first = from - disk.compacted.index - 1
      const entries: Array<Entry> = []
      let bytes = 0
      for (const entry of disk.entries.slice(first, first + through - from + 1)) {
        bytes += entry.payload.byteLength + 32
        if (entries.length > 0 && bytes > maxBytes) break
        entries.push(entry)
      }
      return entries
    }),
  compact: (through) => attempt(disk, "compact", () => disk.compact(through)),
  reset: (point) => attempt(disk, "reset", () => disk.reset(point)),
  failed: disk.failure.failed
})

/** Refuses rows that no state machine may have: a fault of ours, and not of the disk. */
const checkKeys = (changes: ReadonlyArray<StateChange>): void => {
  for (const change of changes) {
    if (change._tag !== "DeleteRange" && !isStateKey(change.key)) {
      throw new RangeError("the key is none of a state machine")
    }
  }
}

const viewOf = (rows: () => SortedRows): StateView => ({
  getMany: (keys) =>
    Effect.sync(() => {
      const current = rows()
      return keys.map((key) => current.get(key))
    }),
  scan: ({ gte, keysOnly, limit, lt, maxBytes = Number.MAX_SAFE_INTEGER, reverse }: ScanOptions) =>
    Effect.sync(() => {
      const current = rows()
      const page: Array<StateRow> = []
      let bytes = 0
      for (const { key, value } of reverse === true ? current.rangeReversed(gte, lt) : current.range(gte, lt)) {
        page.push(keysOnly === true ? { key, value: new Uint8Array(0) } : { key, value })
        bytes += key.byteLength + value.byteLength
        if (page.length >= limit || bytes >= maxBytes) break
      }
      return page
    })
})

const bytesOf = (rows: SortedRows): number => {
  let bytes = 0
  for (const { key, value } of rows) bytes += key.byteLength + value.byteLength
  return bytes
}

/** All rows, in parts. */
const exportOf = (rows: SortedRows) => {
  const left = rows[Symbol.iterator]()
  return (maxBytes: number) =>
    Effect.sync(() => {
      const part: Array<StateRow> = []
      let bytes = 0
      while (part.length === 0 || bytes < maxBytes) {
        const next = left.next()
        if (next.done === true) break
        part.push(next.value)
        bytes += next.value.key.byteLength + next.value.value.byteLength
      }
      return part
    })
}

const makeState = Effect.fnUntraced(function*(disk: MemoryDisk) {
  const importing = yield* Semaphore.make(1)
  disk.imported = undefined

  const beginImport = importing.takeScoped(1).pipe(
    Effect.andThen(
      Effect.acquireRelease(
        attempt(disk, "import", () => {
          const rows: Array<StateRow> = []
          disk.imported = rows
          disk.replaced = undefined
          return rows
        }),
        // What a later run of the node imports is not this one's.
        (rows) =>
          Effect.sync(() => {
            if (disk.imported === rows) disk.imported = undefined
          })
      )
    ),
    Effect.map((imported): StateImport => ({
      write: (rows) =>
        attempt(disk, "import", () => {
          for (const { key, value } of rows) {
            if (!isStateKey(key)) throw new RangeError("the key is none of a state machine")
            imported.push({ key: new Uint8Array(key), value: new Uint8Array(value) })
          }
        }),
      finish: (point) => attempt(disk, "install", () => disk.install(point))
    }))
  )

  return StateStore.of({
    path: "memory",
    ...viewOf(() => disk.state.rows),
    recovered: disk.state.applied,
    commit: (changes, applied) =>
      attempt(disk, "commit", () => {
        checkKeys(changes)
        disk.state = { ...disk.state, rows: disk.state.rows.change(changes), applied }
      }),
    withView: (use) =>
      Effect.suspend(() => {
        const { rows } = disk.state
        return use(viewOf(() => rows))
      }),
    requireLevel: (level) =>
      attempt(disk, "mark", () => {
        if (level.level > (disk.requiredLevel?.level ?? 0)) disk.requiredLevel = level
      }),
    sync: attempt(disk, "sync", () => disk.sync()),
    export: Effect.sync(() => {
      const { applied, rows } = disk.state
      return { point: applied, estimatedBytes: bytesOf(rows), next: exportOf(rows) }
    }),
    import: beginImport,
    replaced: Effect.sync(() => {
      const { replaced } = disk
      if (replaced === undefined) return undefined
      const { applied: point, rows } = replaced
      return {
        path: "memory",
        point,
        estimatedBytes: bytesOf(rows),
        countRows: (limit) => Effect.succeed(Math.min(limit, rows.length))
      } satisfies ReplacedState
    }),
    failed: disk.failure.failed
  })
})

/** Both stores on `disk`, which may hold what an earlier node left there. */
export const layer = (disk: MemoryDisk): Layer.Layer<LogStore | StateStore> =>
  Layer.unwrap(
    Effect.sync(() => {
      disk.failure = new FirstFailure("memory")
      disk.finishInstall()
      return Layer.mergeAll(
        Layer.effect(LogStore, Effect.sync(() => LogStore.of(makeLog(disk)))),
        Layer.effect(StateStore, makeState(disk))
      )
    })
  )
