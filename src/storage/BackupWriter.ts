/**
 * Writes a backup file: under a name of its own until everything is there, checked and on the disk. Whatever goes wrong
 * before leaves no file under the name that was asked for.
 */
import { Data, Effect, Stream } from "effect"
import { existsSync } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { link, open, rename, rm } from "node:fs/promises"
import { dirname } from "node:path"
import { BackupDecoder } from "../codec/BackupFile.ts"
import { CodecError } from "../codec/EntryRecord.ts"
import type { BackupContents } from "./BackupReader.ts"
import { BackupCorrupt, BackupIoError } from "./BackupReader.ts"

/** There is a file of that name, and it was not said that it may be replaced. */
export class BackupExists extends Data.TaggedError("BackupExists")<{ readonly path: string }> {
  override get message() {
    return `${this.path} exists already; give another name, or --force to replace it`
  }
}

export interface WriteBackupOptions {
  /** Replaces a file of that name, once the new one is whole. */
  readonly force: boolean
  /** Told how many bytes were written, and about how many there will be; 0 while that is unknown. */
  readonly onProgress?: (bytes: number, ofBytes: number) => Effect.Effect<void>
}

const attempt = <A>(operation: string, path: string, run: () => Promise<A>): Effect.Effect<A, BackupIoError> =>
  Effect.uninterruptible(
    Effect.tryPromise({ try: run, catch: (cause) => new BackupIoError({ operation, path, cause }) })
  )

const isExisting = (cause: unknown): boolean => cause instanceof Error && "code" in cause && cause.code === "EEXIST"

/** Gives the finished file its name. Without `force` another file is never replaced, also not one that came meanwhile. */
const giveName = (
  temporary: string,
  path: string,
  force: boolean
): Effect.Effect<void, BackupExists | BackupIoError> => {
  if (force) return attempt("rename", temporary, () => rename(temporary, path))
  return attempt("name", path, () => link(temporary, path)).pipe(
    Effect.mapError((error) => isExisting(error.cause) ? new BackupExists({ path }) : error),
    Effect.andThen(attempt("remove", temporary, () => rm(temporary)))
  )
}

/** Makes the names in a directory durable. */
const syncDirectory = (path: string): Effect.Effect<void, BackupIoError> =>
  attempt("sync", path, async () => {
    const folder = await open(path, "r")
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  })

/** Writes the bytes of a backup to `path`. */
export const writeBackup = <E>(
  path: string,
  bytes: Stream.Stream<Uint8Array, E>,
  options: WriteBackupOptions
): Effect.Effect<BackupContents, BackupExists | BackupCorrupt | BackupIoError | E> =>
  Effect.suspend(() => {
    if (!options.force && existsSync(path)) return Effect.fail(new BackupExists({ path }))
    const temporary = `${path}.partial-${process.pid}`
    const filled = Effect.acquireUseRelease(
      attempt("create", temporary, () => open(temporary, "w", 0o600)),
      (file) => fill(file, temporary, bytes, options),
      (file) => Effect.promise(() => file.close().catch(() => undefined))
    )
    return filled.pipe(
      Effect.tap(() => giveName(temporary, path, options.force)),
      Effect.tap(() => syncDirectory(dirname(path))),
      Effect.onExit((exit) =>
        exit._tag === "Success"
          ? Effect.void
          : Effect.promise(() => rm(temporary, { force: true }).catch(() => undefined))
      )
    )
  })

const fill = Effect.fnUntraced(function*<E>(
  file: FileHandle,
  path: string,
  bytes: Stream.Stream<Uint8Array, E>,
  { onProgress }: WriteBackupOptions
) {
  const decoder = new BackupDecoder()
  const corrupt = (error: CodecError) =>
    new BackupCorrupt({ path, detail: `what the node sent is damaged: ${error.message}` })
  let written = 0
  yield* Stream.runForEach(bytes, (piece) =>
    Effect.gen(function*() {
      const parts = decoder.take(piece)
      if (parts instanceof CodecError) return yield* corrupt(parts)
      yield* attempt("write", path, async () => {
        for (let offset = 0; offset < piece.byteLength;) {
          offset += (await file.write(piece, offset, piece.byteLength - offset)).bytesWritten
        }
      })
      written += piece.byteLength
      if (onProgress !== undefined) yield* onProgress(written, decoder.header?.estimatedBytes ?? 0)
    }))
  const totals = decoder.end()
  if (totals instanceof CodecError) return yield* corrupt(totals)
  yield* attempt("sync", path, () => file.sync())
  if (decoder.header === undefined) return yield* corrupt(new CodecError("it has no header"))
  return { header: decoder.header, totals } satisfies BackupContents
})
