/**
 * Writes a backup file: under a name of its own until everything is there, checked and on the disk. A failure before
 * that leaves no file under the name that was asked for. A pipe or a device gets the bytes as they come; a backup that
 * was cut off lacks its end, so that its reader refuses it.
 */
import { Clock, Data, Effect, Stream } from "effect"
import { existsSync } from "node:fs"
import type { FileHandle } from "node:fs/promises"
import { link, open, rename, rm, stat } from "node:fs/promises"
import { basename, dirname } from "node:path"
import { isatty } from "node:tty"
import { notAFile } from "../../FileKind.ts"
import { isExisting, isMissing } from "../../ErrorCode.ts"
import { BackupDecoder } from "../../protocol/BackupFile.ts"
import { CodecError } from "../../bytes/CodecError.ts"
import { openPipe, writePipe } from "../../PipeFile.ts"
import { folderMissing, partialPath, partialPrefix, syncFolderAsync } from "../Folder.ts"
import type { BackupContents } from "./BackupReader.ts"
import { BackupCorrupt, BackupIoError } from "./BackupReader.ts"
import { removeLeftovers } from "./Leftovers.ts"

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

const begun = <A>(operation: string, path: string, run: () => Promise<A>): Effect.Effect<A, BackupIoError> =>
  Effect.tryPromise({ try: run, catch: (cause) => new BackupIoError({ operation, path, cause }) })

/** Of a file, which is closed only when nothing is at work on it any more. */
const attempt = <A>(operation: string, path: string, run: () => Promise<A>): Effect.Effect<A, BackupIoError> =>
  Effect.uninterruptible(begun(operation, path, run))

/** Gives the finished file its name. Without `force` another file is never replaced, even one that came meanwhile. */
const publish = (
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
  attempt("sync", path, () => syncFolderAsync(path))

/** Where the bytes of a backup go. */
export interface BackupSink {
  /** Whether a write may wait for another process, and is given up when this one is to end. */
  readonly waits?: boolean
  readonly write: (chunk: Uint8Array) => Promise<void>
  /** Makes durable what was written, where there is such a thing. */
  readonly sync: () => Promise<void>
}

const sinkOf = (file: FileHandle): BackupSink => ({
  write: async (chunk) => {
    for (let offset = 0; offset < chunk.byteLength;) {
      offset += (await file.write(chunk, offset, chunk.byteLength - offset, null)).bytesWritten
    }
  },
  sync: () => file.sync()
})

const pipeSinkOf = (file: FileHandle): BackupSink => ({
  waits: true,
  write: (chunk) => writePipe(file, chunk),
  sync: () => Promise.resolve()
})

/** Whether there is something other than a file under a name. */
const isOther = (path: string): Effect.Effect<boolean, BackupIoError> =>
  attempt("write", path, async () => {
    if (!existsSync(path)) return false
    const found = await stat(path)
    if (found.isDirectory()) throw new Error(notAFile(found))
    return !found.isFile()
  })

/** The system's error names the temporary file, of which the user knows nothing. */
const withFolder = (path: string, error: unknown): unknown =>
  isMissing(error)
    ? new Error(folderMissing(path))
    : error

/** Writes to a pipe or a device, which has to be there and keeps its name. */
const writeStraight = <E>(path: string, bytes: Stream.Stream<Uint8Array, E>, options: WriteBackupOptions) =>
  Effect.acquireUseRelease(
    Effect.interruptible(openPipe(path)).pipe(
      Effect.mapError((cause) => new BackupIoError({ operation: "open", path, cause })),
      Effect.tap((file) =>
        attempt("open", path, async () => {
          if (!isatty(file.fd)) return
          await file.close()
          throw new Error("it is a terminal")
        })
      )
    ),
    (file) => writeBackupTo(pipeSinkOf(file), path, bytes, options),
    (file) => Effect.promise(() => file.close().catch(() => undefined))
  )

/** Writes the bytes of a backup to `path`. */
export const writeBackup = <E>(
  path: string,
  bytes: Stream.Stream<Uint8Array, E>,
  options: WriteBackupOptions
): Effect.Effect<BackupContents, BackupExists | BackupCorrupt | BackupIoError | E> =>
  Effect.flatMap(isOther(path), (other) => {
    if (other) return writeStraight(path, bytes, options)
    if (!options.force && existsSync(path)) return Effect.fail(new BackupExists({ path }))
    const temporary = partialPath(path)
    const created = Effect.flatMap(Clock.currentTimeMillis, (nowMs) =>
      attempt("create", path, async () => {
        const file = await open(temporary, "w", 0o600).catch((error) => Promise.reject(withFolder(path, error)))
        removeLeftovers(dirname(path), partialPrefix(basename(path)), nowMs)
        return file
      }))
    const filled = Effect.acquireUseRelease(
      created,
      (file) => writeBackupTo(sinkOf(file), temporary, bytes, options),
      (file) => Effect.promise(() => file.close().catch(() => undefined))
    )
    return filled.pipe(
      Effect.tap(() => publish(temporary, path, options.force)),
      Effect.tap(() => syncDirectory(dirname(path))),
      Effect.onExit((exit) =>
        exit._tag === "Success"
          ? Effect.void
          : Effect.promise(() => rm(temporary, { force: true }).catch(() => undefined))
      )
    )
  })

/** Checks the bytes of a backup and writes them to `sink`. `path` is what errors call it. */
export const writeBackupTo = Effect.fnUntraced(function*<E>(
  sink: BackupSink,
  path: string,
  bytes: Stream.Stream<Uint8Array, E>,
  { onProgress }: Pick<WriteBackupOptions, "onProgress">
) {
  const decoder = new BackupDecoder()
  const corrupt = (error: CodecError) =>
    new BackupCorrupt({ path, detail: `what the node sent is damaged: ${error.message}` })
  let written = 0
  yield* Stream.runForEach(bytes, (chunk) =>
    Effect.gen(function*() {
      const parts = decoder.take(chunk)
      if (parts instanceof CodecError) return yield* corrupt(parts)
      yield* (sink.waits === true ? begun : attempt)("write", path, () => sink.write(chunk))
      written += chunk.byteLength
      if (onProgress !== undefined) yield* onProgress(written, decoder.header?.estimatedBytes ?? 0)
    }))
  const totals = decoder.end()
  if (totals instanceof CodecError) return yield* corrupt(totals)
  yield* attempt("sync", path, () => sink.sync())
  if (decoder.header === undefined) return yield* corrupt(new CodecError("it has no header"))
  return { header: decoder.header, totals } satisfies BackupContents
})
