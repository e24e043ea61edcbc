/** Reads a backup file from its beginning to its end, held to all its checksums. */
import { Data, Effect } from "effect"
import { closeSync, openSync, readSync } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { open, stat } from "node:fs/promises"
import { fileKind, notAFile } from "../../FileKind.ts"
import { isMissing } from "../../ErrorCode.ts"
import type { BackupHeader } from "../../protocol/BackupFile.ts"
import { BackupDecoder } from "../../protocol/BackupFile.ts"
import { CodecError } from "../../bytes/CodecError.ts"
import { unreadText, unwrittenText } from "../../ErrorText.ts"
import type { SnapshotTotals } from "../../protocol/SnapshotChunk.ts"
import type { RowsCheck } from "../RowsCheck.ts"
import { anyRows, CheckedRows } from "../RowsCheck.ts"
import type { StateRow } from "../StateStore.ts"
import { remedyFor } from "../StorageError.ts"

/** The file is no backup, or not whole, or damaged. */
export class BackupCorrupt extends Data.TaggedError("BackupCorrupt")<{
  readonly path: string
  readonly detail: string
}> {
  override get message() {
    return `${this.path} cannot be used as a backup: ${this.detail}. Nothing was changed; take another backup.`
  }
}

/** The disk refused to read or write a backup file. */
export class BackupIoError extends Data.TaggedError("BackupIoError")<{
  /** What was being done: "read", "write", "rename" … */
  readonly operation: string
  readonly path: string
  readonly cause: unknown
}> {
  override get message() {
    const cause = this.operation === "read" ? unreadText(this.cause) : unwrittenText(this.cause)
    const remedy = remedyFor(cause, "run it as a user that may")
    return `cannot ${this.operation} ${this.path}: ${cause}${remedy === undefined ? "" : `; ${remedy}`}`
  }
}

/** What a whole backup held. */
export interface BackupContents {
  readonly header: BackupHeader
  readonly totals: SnapshotTotals
}

export interface ReadBackupOptions<E> {
  /** Checks the rows before `onRows` gets them. */
  readonly check?: (header: BackupHeader) => RowsCheck
  /** Gets the rows in the order of their keys, at most a few hundred KiB or one row at a time. */
  readonly onRows?: (rows: ReadonlyArray<StateRow>, header: BackupHeader) => Effect.Effect<void, E>
  /** Gets how far the reader is in the file. */
  readonly onProgress?: (bytes: number, ofBytes: number) => Effect.Effect<void>
}

const chunkBytes = 256 * 1024

const attempt = <A>(operation: string, path: string, run: () => Promise<A>): Effect.Effect<A, BackupIoError> =>
  Effect.uninterruptible(
    Effect.tryPromise({ try: run, catch: (cause) => new BackupIoError({ operation, path, cause }) })
  )

/** A pipe would block the thread that opens it, and could not be read twice. */
const opened = (path: string): Effect.Effect<FileHandle, BackupIoError> =>
  attempt("read", path, async () => {
    const found = await stat(path).catch((error: unknown) => {
      throw isMissing(error) ? new Error("there is no such file") : error
    })
    if (found.isFile()) return open(path, "r")
    throw new Error(
      found.isDirectory()
        ? notAFile(found)
        : `it is ${fileKind(found)}, and a backup is read twice; save it to a file, and name that`
    )
  })

/** Bytes that every header fits into. */
const headBytes = 128 * 1024

/** The header of a backup whose rest is not read; `undefined` where it is damaged. Throws the system's error. */
export const backupHeaderIn = (path: string): BackupHeader | undefined => {
  const file = openSync(path, "r")
  try {
    const head = Buffer.allocUnsafeSlow(headBytes)
    const decoder = new BackupDecoder()
    decoder.take(head.subarray(0, readSync(file, head, 0, headBytes, 0)))
    return decoder.header
  } finally {
    closeSync(file)
  }
}

/**
 * Reads the whole file. `onRows` gets rows before the end of the file is checked: they are valid only once this
 * succeeds.
 */
export const readBackup = <E = never>(
  path: string,
  options: ReadBackupOptions<E> = {}
): Effect.Effect<BackupContents, BackupCorrupt | BackupIoError | E> =>
  Effect.acquireUseRelease(
    opened(path),
    Effect.fnUntraced(function*(file: FileHandle) {
      const decoder = new BackupDecoder()
      const corrupt = (error: CodecError) => new BackupCorrupt({ path, detail: error.message })
      const { size } = yield* attempt("read", path, () => file.stat())
      let checked: CheckedRows | undefined
      const rowsOf = (header: BackupHeader) => (checked ??= new CheckedRows(options.check?.(header) ?? anyRows))
      let read = 0
      for (;;) {
        // A new buffer each time: rows are views of it.
        const { buffer, bytesRead } = yield* attempt("read", path, () =>
          file.read({ buffer: Buffer.allocUnsafeSlow(chunkBytes), position: read }))
        if (bytesRead === 0) {
          break
        }
        read += bytesRead
        const parts = decoder.take(buffer.subarray(0, bytesRead))
        if (parts instanceof CodecError) {
          return yield* corrupt(parts)
        }
        for (const part of parts) {
          if (part._tag !== "Rows" || part.rows.length === 0) {
            continue
          }
          const header = decoder.header as BackupHeader
          const problem = rowsOf(header).take(part.rows)
          if (problem !== undefined) {
            return yield* corrupt(problem)
          }
          if (options.onRows !== undefined) {
            yield* options.onRows(part.rows, header)
          }
        }
        if (options.onProgress !== undefined) {
          yield* options.onProgress(read, size)
        }
      }
      const totals = decoder.end()
      if (totals instanceof CodecError) {
        return yield* corrupt(totals)
      }
      const header = decoder.header as BackupHeader
      const problem = rowsOf(header).end()
      return problem === undefined ? { header, totals } satisfies BackupContents : yield* corrupt(problem)
    }),
    (file) =>
      Effect.promise(() =>
        file.close().catch(() => undefined)
      )
  )
