/**
 * A restore that is only for the test of it: the backup becomes the data directory of a single node in a folder of its
 * own, every row of that is held against the backup, the node is started and asked, and all of it is removed.
 */
import type { Scope } from "effect"
import { Clock, Effect, Layer } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { join } from "node:path"
import { KeyValue } from "../../client/KeyValue.ts"
import { unreadText } from "../../ErrorText.ts"
import type { BackupHeader } from "../../protocol/BackupFile.ts"
import { isIdentityRow } from "../../protocol/ClusterIdentity.ts"
import { maxChunkBytes, SnapshotEncoder } from "../../protocol/SnapshotChunk.ts"
import { isSessionRow, recordRange } from "../../kv/model/Keyspace.ts"
import { checkOfBackup } from "../../machine/StateCheck.ts"
import { keyValueMachine } from "../../machine/StateFacts.ts"
import { readBackup } from "../../storage/backup/BackupReader.ts"
import { BackupIoError } from "../../storage/backup/BackupReader.ts"
import { removeLeftovers } from "../../storage/backup/Leftovers.ts"
import { restore } from "../../storage/backup/Restore.ts"
import { readState } from "../../storage/Inspect.ts"
import type { StateRow } from "../../storage/StateStore.ts"
import type { Failure } from "../output/Failure.ts"
import { failed } from "../output/Failure.ts"

export interface DrillOptions {
  readonly file: string
  /** Where the folder of the drill is made; it needs room for the whole state. */
  readonly work: string
  /** Told what is done next. */
  readonly onStep: (step: string) => Effect.Effect<void>
}

export interface Drilled {
  readonly header: BackupHeader
  /** Rows of the backup that a restore takes over. */
  readonly rows: number
  /** Their SHA-256, in the backup and in the directory that was made of it. */
  readonly digest: string
  /** Keys in the backup, which the node counted too; `undefined` for another state machine than the key-value store. */
  readonly keys: number | undefined
}

/** What a restore takes over of a backup. */
const keepsRow = ({ machine }: BackupHeader, { key }: StateRow): boolean =>
  machine !== keyValueMachine || !isSessionRow(key)

const keyRange = recordRange({ gte: new Uint8Array(0), lt: new Uint8Array(0) })

const isKeyRow = ({ key }: StateRow): boolean =>
  Buffer.compare(key, keyRange.gte) >= 0 && Buffer.compare(key, keyRange.lt) < 0

const folderPrefix = "flaredb-drill-"

const folderIn = (work: string): Effect.Effect<string, BackupIoError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.flatMap(Clock.currentTimeMillis, (nowMs) =>
      Effect.try({
        try: () => {
          removeLeftovers(work, folderPrefix, nowMs)
          return mkdtempSync(join(work, `${folderPrefix}${process.pid}-`))
        },
        catch: (cause) => new BackupIoError({ operation: "make a folder in", path: work, cause: unreadText(cause) })
      })),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )

/** Reads and checks the backup, and hashes what a restore takes over. */
const expectedOf = Effect.fnUntraced(function*(file: string) {
  const encoder = new SnapshotEncoder()
  let keys = 0
  const { header } = yield* readBackup(file, {
    check: checkOfBackup,
    onRows: (rows, header) =>
      Effect.sync(() => {
        for (const row of rows) {
          if (isIdentityRow(row.key) || !keepsRow(header, row)) continue
          if (isKeyRow(row)) keys += 1
          encoder.add(row)
        }
      })
  })
  return { header, keys, totals: encoder.end().totals }
})

/** Hashes all rows of a directory that no process uses. */
const restoredDigest = (path: string) =>
  readState(path, false, (state) =>
    Effect.gen(function*() {
      const encoder = new SnapshotEncoder()
      for (let rows = yield* state.next(maxChunkBytes); rows.length > 0; rows = yield* state.next(maxChunkBytes)) {
        for (const row of rows) encoder.add(row)
      }
      return encoder.end().totals
    }))

const clusterId = "drill"

/** Starts a node on the directory, on loopback ports that the system chooses, and counts its keys. */
const countOf = Effect.fnUntraced(function*(dataDir: string) {
  const FlareDb = yield* Effect.promise(() => import("../../FlareDb.ts"))
  const nodes = [{ id: 1, host: "127.0.0.1", clientPort: 0, peerPort: 0, httpPort: 0 }]
  const count = Effect.flatMap(KeyValue, (kv) => kv.count(""))
  return yield* Effect.scoped(
    Effect.flatMap(
      Layer.build(FlareDb.layer({ nodeId: 1, clusterId, nodes, dataDir })),
      (services) => Effect.provideContext(count, services)
    )
  )
})

/** Goes through all of it. Nothing is left behind, and nothing of the cluster is touched. */
export const drill = Effect.fnUntraced(function*(options: DrillOptions) {
  const { file, onStep, work } = options
  yield* onStep("reading the backup")
  const { header, keys, totals } = yield* expectedOf(file)
  const folder = yield* folderIn(work)
  const path = join(folder, "node-1")
  yield* onStep("restoring it")
  yield* restore({
    file,
    path,
    clusterId,
    nodeId: 1,
    voters: [1],
    keeps: keepsRow,
    check: checkOfBackup,
    checked: true
  })
  const found = yield* restoredDigest(path)
  if (found.digest !== totals.digest || found.rows !== totals.rows) {
    return yield* Effect.fail<Failure>(failed(
      `the restored directory has ${found.rows} rows of sha256 ${found.digest}, and the backup ${totals.rows} of ` +
        `${totals.digest}; keep the backup, and report it`
    ))
  }
  const counts = header.machine === keyValueMachine
  if (counts) {
    yield* onStep("starting a node on it")
    const counted = yield* countOf(path)
    if (counted !== keys) {
      return yield* Effect.fail<Failure>(failed(
        `the restored node has ${counted} keys, and the backup ${keys}; keep the backup, and report it`
      ))
    }
  }
  return { header, rows: totals.rows, digest: totals.digest, keys: counts ? keys : undefined } satisfies Drilled
}, Effect.scoped)
