/**
 * Leases of FlareDB in the place of those of etcd. Each is granted with the time that etcd's has left, before the first
 * of its keys is written, and noted in a row that is attached to it. No lease is kept alive here.
 */
import { Effect } from "effect"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import type { Leases } from "../../client/Lease.ts"
import type { Op, PutResult } from "../../client/Txn.ts"
import { Op as Ops } from "../../client/Txn.ts"
import { minTtlMs } from "../../kv/model/Limits.ts"
import type { EtcdSource } from "./EtcdSource.ts"
import type { EtcdFailure } from "./ImportFailures.ts"
import { reading, writing } from "./Retry.ts"

/** No lease of etcd has this id: a key without one has it. */
export const noLease = "0"

/** Leases that are asked for and granted at a time. */
const concurrency = 16

export class ImportedLeases {
  private readonly kv: KeyValue["Service"]
  private readonly leases: Leases["Service"]
  private readonly source: EtcdSource
  private readonly prefix: string
  /** Most milliseconds that a lease is granted. */
  private readonly maxMs: number
  /** The lease in FlareDB of each lease of etcd; 0 for one that has ended. */
  private readonly known = new Map<string, number>()
  /** Those that were granted, and whose row is not written yet. */
  private readonly fresh = new Map<string, number>()

  constructor(
    kv: KeyValue["Service"],
    leases: Leases["Service"],
    source: EtcdSource,
    prefix: string,
    maxMs = Infinity
  ) {
    this.maxMs = maxMs
    this.kv = kv
    this.leases = leases
    this.source = source
    this.prefix = prefix
  }

  /** Reads which leases were granted by an earlier run, and have not ended. */
  readonly load = Effect.suspend(() => this.read())

  private readonly read = Effect.fnUntraced({ self: this }, function*(
    this: ImportedLeases
  ): Effect.fn.Return<void, ReadFailure> {
    let cursor: Uint8Array | undefined
    do {
      const page = yield* reading(this.kv.scan(this.prefix, { cursor }))
      for (const { keyText, lease } of page.entries) this.known.set(keyText.slice(this.prefix.length), lease)
      cursor = page.cursor
    } while (cursor !== undefined)
  })

  /** The lease of FlareDB, 0 for one that has ended; `undefined` as long as none was granted. */
  get(lease: string): number | undefined {
    return lease === noLease ? 0 : this.known.get(lease)
  }

  /** Grants those of these leases that are not known. */
  grant(leases: ReadonlySet<string>): Effect.Effect<void, EtcdFailure | WriteFailure> {
    const unknown = [...leases].filter((lease) => this.get(lease) === undefined)
    return Effect.forEach(unknown, (lease) => this.grantOne(lease), { concurrency, discard: true })
  }

  private readonly grantOne = Effect.fnUntraced({ self: this }, function*(this: ImportedLeases, lease: string) {
    const seconds = yield* this.source.remainingSeconds(lease)
    if (seconds <= 0) {
      this.known.set(lease, 0)
      return
    }
    // A grant whose answer is lost leaves a lease without keys, which ends by itself.
    const { id } = yield* writing(this.leases.grant(Math.max(minTtlMs, Math.min(this.maxMs, seconds * 1_000))))
    this.known.set(lease, id)
    this.fresh.set(lease, id)
  })

  /** The rows that note those of these leases which are not noted yet. */
  rowsOf(leases: ReadonlySet<string>): ReadonlyArray<Op<PutResult>> {
    return [...leases].flatMap((lease) => {
      const id = this.fresh.get(lease)
      return id === undefined ? [] : [Ops.put(`${this.prefix}${lease}`, String(id), { lease: id })]
    })
  }

  /** These rows were written. */
  noted(leases: ReadonlySet<string>): void {
    for (const lease of leases) this.fresh.delete(lease)
  }

  /** Takes a lease of FlareDB for ended. */
  end(id: number): void {
    for (const [lease, known] of this.known) {
      if (known !== id) continue
      this.known.set(lease, 0)
      this.fresh.delete(lease)
    }
  }

  /** Whether a lease of etcd has a lease in FlareDB that lives. */
  readonly isAlive = (lease: string): Effect.Effect<boolean, ReadFailure> => {
    const id = this.get(lease)
    if (id === undefined || id === 0) return Effect.succeed(false)
    return Effect.map(reading(this.kv.get(`${this.prefix}${lease}`)), (row) => {
      if (row._tag === "None") this.known.set(lease, 0)
      return row._tag === "Some"
    })
  }
}
