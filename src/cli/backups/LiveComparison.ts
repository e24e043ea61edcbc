/**
 * Holds a backup against the cluster that it is of, while that goes on being written to. Both are gone through in the
 * order of their keys. What the cluster has not changed since the backup's revision must be in the backup byte for
 * byte, and what it has changed since is counted. Nothing else is kept in memory.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import type { KeyValue, KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import { decodeRecord, encodeRecord } from "../../kv/model/KeyRecord.ts"
import { recordRange, userKey } from "../../kv/model/Keyspace.ts"
import type { StateRow } from "../../storage/StateStore.ts"

export interface Comparison {
  /** Keys that are the same in both, and the SHA-256 of all of them with their records, on either side. */
  readonly equal: number
  readonly backupHash: string
  readonly liveHash: string
  /** Keys that were put again, or made, since. */
  readonly changedSince: number
  /** Keys that the cluster no longer has. */
  readonly deletedSince: number
  /** Keys that the cluster has not changed since, and that the backup has otherwise. */
  readonly differing: number
  /** Keys that the cluster has not changed since, and that the backup lacks. */
  readonly missing: number
}

const all = recordRange({ gte: new Uint8Array(0), lt: new Uint8Array(0) })

const isKeyRow = ({ key }: StateRow): boolean => Buffer.compare(key, all.gte) >= 0 && Buffer.compare(key, all.lt) < 0

const page = 1_000

const recordOf = (entry: KeyValueEntry): Uint8Array => encodeRecord(entry)

/** Takes the rows of the backup in their order; `end` tells the result. */
export class LiveComparison {
  private readonly kv: KeyValue["Service"]
  /** The revision of the backup. */
  private readonly revision: number
  private readonly hashes = { backup: createHash("sha256"), live: createHash("sha256") }
  private counts = { equal: 0, changedSince: 0, deletedSince: 0, differing: 0, missing: 0 }
  private entries: ReadonlyArray<KeyValueEntry> = []
  private at = 0
  /** Where the next page begins; `undefined` behind the last one. */
  private cursor: Uint8Array | undefined
  private ended = false

  constructor(kv: KeyValue["Service"], revision: number) {
    this.kv = kv
    this.revision = revision
  }

  private readonly live: Effect.Effect<KeyValueEntry | undefined, ReadFailure> = Effect.suspend(() => {
    const entry = this.entries[this.at]
    if (entry !== undefined || this.ended) return Effect.succeed(entry)
    return Effect.flatMap(this.kv.scan("", { limit: page, cursor: this.cursor }), ({ cursor, entries }) => {
      this.entries = entries
      this.at = 0
      this.cursor = cursor
      this.ended = cursor === undefined && entries.length === 0
      if (cursor === undefined) this.ended = true
      return Effect.succeed(this.entries[0])
    })
  })

  private onlyLive({ modRevision }: KeyValueEntry): void {
    if (modRevision > this.revision) this.counts.changedSince += 1
    else this.counts.missing += 1
  }

  private both(row: StateRow, entry: KeyValueEntry): void {
    if (entry.modRevision > this.revision) {
      this.counts.changedSince += 1
      return
    }
    const live = recordOf(entry)
    this.hashes.backup.update(row.key).update(row.value)
    this.hashes.live.update(row.key).update(live)
    const same = decodeRecord(row.value) !== undefined && Buffer.compare(live, row.value) === 0
    if (same) this.counts.equal += 1
    else this.counts.differing += 1
  }

  readonly take = Effect.fnUntraced({ self: this }, function*(this: LiveComparison, rows: ReadonlyArray<StateRow>) {
    for (const row of rows) {
      if (!isKeyRow(row)) continue
      const key = userKey(row.key)
      for (;;) {
        const entry = yield* this.live
        const order = entry === undefined ? 1 : Buffer.compare(entry.key, key)
        if (entry === undefined || order > 0) {
          this.counts.deletedSince += 1
          break
        }
        this.at += 1
        if (order === 0) {
          this.both(row, entry)
          break
        }
        this.onlyLive(entry)
      }
    }
  })

  readonly end = Effect.fnUntraced({ self: this }, function*(this: LiveComparison) {
    for (let entry = yield* this.live; entry !== undefined; entry = yield* this.live) {
      this.at += 1
      this.onlyLive(entry)
    }
    return {
      ...this.counts,
      backupHash: this.hashes.backup.digest("hex"),
      liveHash: this.hashes.live.digest("hex")
    } satisfies Comparison
  })
}
