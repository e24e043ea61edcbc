/**
 * A newer format is refused wherever it is met, and the refusal says which release reads it. The table has every format
 * of docs/upgrades.md.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { crc32 } from "node:zlib"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { decodeCommand } from "../../src/kv/model/Command.ts"
import { checkOf } from "../../src/machine/StateCheck.ts"
import { BackupDecoder, encodeBackupHeader } from "../../src/protocol/BackupFile.ts"
import { decodeEntry, encodeEntry } from "../../src/protocol/EntryRecord.ts"
import { encodeLevelRow, levelRowKey } from "../../src/protocol/FeatureLevel.ts"
import { decodeMessages } from "../../src/protocol/MessageBatch.ts"
import { SnapshotDecoder, SnapshotEncoder } from "../../src/protocol/SnapshotChunk.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import { encodeRecord, stateKeys } from "../../src/storage/Codec.ts"
import { requireLevel } from "../../src/storage/DirectoryMarker.ts"
import { inspect } from "../../src/storage/Inspect.ts"
import * as RocksStorage from "../../src/storage/rocksdb/RocksStorage.ts"
import { RocksDb } from "../../src/storage/rocksdb/RocksDb.ts"
import { version } from "../../src/Version.ts"
import { readBackup } from "../../src/storage/backup/BackupReader.ts"
import { temporaryFolder } from "../storage/TemporaryFolder.ts"
import { asNextRelease } from "./NextRelease.ts"

const escaped = version.replaceAll(".", "\\.")

/** Bytes with one of them changed, and the checksum at `sumAt` of all that follows `from` made right again. */
const changed = (bytes: Uint8Array, at: number, value: number, sumAt: number, from = sumAt + 4): Buffer => {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(value, at)
  copy.writeUInt32BE(crc32(copy.subarray(from)), sumAt)
  return copy
}

const messageOf = (result: unknown): string =>
  typeof result === "object" && result !== null && "message" in result
    ? String(result.message)
    : JSON.stringify(result)

describe("a newer format is refused, with the release that reads it", () => {
  const entry = {
    index: LogIndex(1),
    term: Term(1),
    kind: "command" as const,
    timestampMs: 1,
    payload: encodeCommand({ _tag: "Delete", key: Uint8Array.of(1) })
  }
  const header = {
    clusterId: "orders",
    identity: "2f1c9a9e-6f5b-4c0e-9d0a-3b7e0c1d2e4f",
    nodeId: 1,
    version: "9.8.7",
    machine: "key-value",
    index: 1,
    term: 1,
    revision: 0,
    logTimeMs: 0,
    createdMs: 0,
    estimatedBytes: 0
  }
  const cases: ReadonlyArray<readonly [string, () => unknown, RegExp]> = [
    [
      "an entry of the log",
      () => decodeEntry(changed(encodeEntry({ ...entry }), 4, 2, 0)),
      new RegExp(
        `an entry of format 2, and flaredb ${escaped} reads format 1: the later release that wrote it reads it`
      )
    ],
    [
      "a snapshot",
      () => new SnapshotDecoder().take(changed(new SnapshotEncoder().end().chunks[0] as Uint8Array, 4, 2, 0)),
      new RegExp(`a snapshot of format 2, and flaredb ${escaped} reads format 1: the later release that wrote it`)
    ],
    [
      "a backup",
      () => new BackupDecoder().take(changed(encodeBackupHeader(header), 13, 4, 8)),
      new RegExp(`it has format 4, and flaredb ${escaped} reads format 3: run flaredb 9\\.8\\.7, which wrote it`)
    ],
    [
      "a command",
      () => {
        const bytes = Uint8Array.from(entry.payload)
        bytes[0] = 4
        const decoded = decodeCommand(bytes)
        return decoded._tag === "Problem" ? { message: decoded.problem } : decoded
      },
      /has version 4, and this node reads 3: upgrade the older side/
    ],
    ["a message between nodes", () => decodeMessages(Uint8Array.of(99)), /there is no kind 99 of messages/],
    [
      "the rows of a state",
      () => {
        const row = { key: levelRowKey, value: encodeLevelRow({ level: 2, release: "9.8.7" }) }
        return { message: checkOf({ index: 1, known: 1 }).row(row) }
      },
      new RegExp(
        `needs feature level 2, which flaredb 9\\.8\\.7 and later know; this is flaredb ${escaped} with level 1`
      )
    ]
  ]
  for (const [name, read, says] of cases) {
    it(name, () => assert.match(messageOf(read()), says))
  }

  const directory = Effect.map(temporaryFolder, (folder) => join(folder, "node-1"))
  const options = (path: string) => ({ path, clusterId: "orders", nodeId: 1, voters: [1] })
  const opened = <A, E>(path: string, use: Effect.Effect<A, E, RocksDb>) =>
    Effect.provide(use, Layer.fresh(RocksStorage.layer(options(path))))

  it.live("a data directory of a later format", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const marker = { formatVersion: 7, voters: "spelled otherwise", required: { level: 3, release: "9.8.7" } }
      yield* opened(
        path,
        RocksDb.use((database) =>
          database.write(
            "raft_state",
            [{ _tag: "Put", key: stateKeys.marker, value: encodeRecord(marker) }],
            "durable"
          )
        )
      )
      for (const open of [opened(path, Effect.void), inspect(path, () => Effect.void)]) {
        const error = yield* Effect.flip(open)
        assert.match(
          error.message,
          /\(format-version\): expected format 4, 5, 6, found format 7.*run flaredb 9\.8\.7, or restore/
        )
      }
    }))

  it.live("a data directory of a higher feature level, which the next release goes on reading", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const level = { level: 2, release: "99.0.0" }
      yield* opened(path, RocksDb.use((database) => requireLevel(database, level)))
      const error = yield* Effect.flip(opened(path, Effect.void))
      assert.match(
        error.message,
        /\(feature-level\): expected feature level 1 or less.*, found feature level 2, which flaredb 99\.0\.0 and later know/
      )
      yield* asNextRelease(opened(path, RocksDb.use((database) => requireLevel(database, { ...level, level: 1 }))))
      // A lower level changes nothing: the mark only rises.
      yield* Effect.flip(opened(path, Effect.void))
    }))

  it.live("a backup file, before anything of it is restored", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      mkdirSync(join(folder, "backups"))
      const file = join(folder, "backups", "later")
      writeFileSync(file, changed(encodeBackupHeader(header), 13, 4, 8))
      const error = yield* Effect.flip(readBackup(file))
      assert.match(error.message, /format 4, and .*run flaredb 9\.8\.7, which wrote it/)
    }))
})
