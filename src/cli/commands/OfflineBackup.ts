/** A backup of the data directory of a stopped node, for the day on which no node can serve one. */
import { Clock, Effect, Stream } from "effect"
import { encodeBackupHeader } from "../../protocol/BackupFile.ts"
import type { BackupHeader } from "../../protocol/BackupFile.ts"
import { maxChunkBytes, SnapshotEncoder } from "../../protocol/SnapshotChunk.ts"
import type { StateRow } from "../../protocol/StateRows.ts"
import { checkOfBackup } from "../../machine/StateCheck.ts"
import { factsOf } from "../../machine/StateFacts.ts"
import type { BackupContents, BackupCorrupt, BackupIoError } from "../../storage/backup/BackupReader.ts"
import type { BackupExists, BackupSink, WriteBackupOptions } from "../../storage/backup/BackupWriter.ts"
import { writeBackup, writeBackupTo } from "../../storage/backup/BackupWriter.ts"
import type { StoppedState } from "../../storage/Inspect.ts"
import { readState } from "../../storage/Inspect.ts"
import { CheckedRows } from "../../storage/RowsCheck.ts"
import type { OpenError, StorageError } from "../../storage/StorageError.ts"
import { version } from "../../Version.ts"

export interface OfflineBackupOptions extends WriteBackupOptions {
  /** The data directory. */
  readonly from: string
  readonly file: string
  /** Where the bytes go instead of into a file. */
  readonly sink?: BackupSink | undefined
  /** The state that the last snapshot replaced, and not the one in use. */
  readonly replaced: boolean
}

export interface OfflineBackup extends BackupContents {
  /** The last entry of the directory's log. Those after the backup's index are not in it. */
  readonly lastIndex: number
  /** Why `restore` will not take the file, if it will not: the directory is damaged. */
  readonly problem: string | undefined
}

/** The rows that say whose state it is, and the header that follows from them. */
const begin = Effect.fnUntraced(function*({ estimatedBytes, marker, next, point }: StoppedState) {
  const rows = yield* next(maxChunkBytes)
  const { identity = "", logTimeMs, machine, revision } = factsOf(rows)
  const header: BackupHeader = {
    clusterId: marker.clusterId,
    identity,
    nodeId: marker.nodeId,
    version,
    machine,
    index: point.index,
    term: point.term,
    revision,
    logTimeMs,
    createdMs: yield* Clock.currentTimeMillis,
    estimatedBytes
  }
  return { header, rows }
})

const save = Effect.fnUntraced(function*(options: OfflineBackupOptions, state: StoppedState) {
  const { header, rows: first } = yield* begin(state)
  const checked = new CheckedRows(checkOfBackup(header))
  let problem: string | undefined
  const encoder = new SnapshotEncoder()
  const chunksOf = (rows: ReadonlyArray<StateRow>): ReadonlyArray<Uint8Array> => {
    problem ??= checked.take(rows)?.message
    return rows.flatMap((row) => encoder.add(row))
  }
  type Step = "header" | ReadonlyArray<StateRow> | "end"
  const bytes = Stream.unfold<Step, ReadonlyArray<Uint8Array>, StorageError, never>("header", (step) => {
    if (step === "end") return Effect.succeed(undefined)
    if (step === "header") return Effect.succeed([[encodeBackupHeader(header)], first] as const)
    if (step.length === 0) return Effect.succeed([encoder.end().chunks, "end"] as const)
    const chunks = chunksOf(step)
    return Effect.map(state.next(maxChunkBytes), (rows) => [chunks, rows] as const)
  }).pipe(Stream.flatMap((chunks) => Stream.fromIterable(chunks)))
  const written = yield* options.sink === undefined
    ? writeBackup(options.file, bytes, options)
    : writeBackupTo(options.sink, options.file, bytes, options)
  problem ??= checked.end()?.message
  return { ...written, lastIndex: state.lastIndex, problem } satisfies OfflineBackup
})

/** Saves the applied state of a directory that no process uses. */
export const offlineBackup = (
  options: OfflineBackupOptions
): Effect.Effect<OfflineBackup, OpenError | BackupExists | BackupCorrupt | BackupIoError> =>
  readState(options.from, options.replaced, (state) => save(options, state))
