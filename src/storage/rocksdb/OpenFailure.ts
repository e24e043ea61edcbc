/** Why RocksDB cannot open a directory, and whether another process has it open. */
import { Clock, Effect } from "effect"
import { existsSync } from "node:fs"
import { join } from "node:path"
import { errorText } from "../../ErrorText.ts"
import { unusableFile } from "../DirectoryFiles.ts"
import { floorFile } from "../DurableFloor.ts"
import { removedLock } from "../LockFile.ts"
import type { OpenError } from "../StorageError.ts"
import { DataDirRefused, remedyFor, StorageCorruption, StorageIoError } from "../StorageError.ts"
import { unreadableManifest } from "./ManifestKinds.ts"
import * as NativeModule from "./NativeModule.ts"
import { families } from "./Operation.ts"

const unreadable = (path: string, detail: string): StorageCorruption =>
  new StorageCorruption({
    path,
    detail,
    safe: "nothing can be read here; the other nodes hold every acknowledged write"
  })

/** What RocksDB says when it cannot open, as the error that tells what to do. */
export const openError = (path: string, cause: unknown): OpenError => {
  const message = errorText(cause)
  // A name in the path may be any word.
  const said = message.replaceAll(path, "")
  if (/lock file|lock hold/i.test(said)) {
    const isOwn = /by current process/i.test(said)
    return new DataDirRefused({
      path,
      reason: "locked",
      expected: isOwn ? "a directory that this process has not open" : "a directory no other process uses",
      found: message,
      hint: isOwn
        ? "A node of this process runs on it, or one that failed while a full disk held its work back: stop the one, " +
          "make room for the other, or end this process."
        : "Another FlareDB process runs on this directory; stop it, or start this node with its own --data-dir."
    })
  }
  if (/is not a directory|Not a directory/i.test(said)) {
    return new DataDirRefused({
      path,
      reason: "not-a-directory",
      expected: "a directory",
      found: message,
      hint: "Give another --data-dir, or move it away."
    })
  }
  // A full disk damages no manifest, though it is named.
  if (remedyFor(said, "") !== undefined) return new StorageIoError({ operation: "open", path, cause })
  if (/Column famil/i.test(said)) {
    // Another program's database has no durable floor; ours has one from its first seconds on.
    if (existsSync(join(path, floorFile))) return unreadable(path, message)
    return new DataDirRefused({
      path,
      reason: "foreign",
      expected: `the column families ${families.join(", ")}`,
      found: message,
      hint: "This is another program's database; give another --data-dir."
    })
  }
  if (/corrupt|checksum|mismatch|CURRENT|MANIFEST|No such file|ahead of WALs|Footer/i.test(said)) {
    return unreadable(path, message)
  }
  return new StorageIoError({ operation: "open", path, cause })
}

const damagedManifest = (path: string): StorageCorruption | undefined => {
  const problem = unreadableManifest(path)
  return problem === undefined ? undefined : unreadable(path, problem)
}

/**
 * Refuses what RocksDB must not open: files that are none, a directory whose lock was removed under a process, and a
 * manifest that it would read for ever.
 */
export const requireUsable = (path: string): Effect.Effect<void, OpenError> =>
  Effect.flatMap(Clock.currentTimeMillis, (nowMs) =>
    Effect.flatMap(
      Effect.try({
        try: () => unusableFile(path) ?? removedLock(path, nowMs) ?? damagedManifest(path),
        catch: (cause) => openError(path, cause)
      }),
      (refused) => refused === undefined ? Effect.void : Effect.fail(refused)
    ))

/**
 * Refuses a directory that another process has open; RocksDB takes its lock before it reads anything, and not at all
 * when it opens read-only. So it is asked to open without the families, which it refuses once it has the lock. Only
 * its info log changes.
 */
export const requireUnused = (path: string): Effect.Effect<void, OpenError> =>
  Effect.gen(function*() {
    yield* requireUsable(path)
    const native = yield* NativeModule.load
    const opened = yield* Effect.tryPromise({
      try: async () => {
        const probe = new native.default(path, { createIfMissing: false })
        await probe.ready()
        await probe.close()
      },
      catch: (cause) => cause
    }).pipe(Effect.result)
    if (opened._tag === "Success") return yield* openError(path, new Error("Column families are missing"))
    if (/Column families not opened/.test(String(opened.failure))) return
    return yield* openError(path, opened.failure)
  })
