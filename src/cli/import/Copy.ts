/**
 * Writes what etcd has at one revision to FlareDB, in the order of keys: a batch of keys and the position behind them
 * in one transaction, so that an import that was stopped goes on exactly there. A key is written only while it is as it
 * was read.
 */
import { Effect, Option } from "effect"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { decide, hasLease, keyText } from "./Decision.ts"
import type { ImportedLeases } from "./ImportedLeases.ts"
import type { EtcdFailure } from "./ImportFailures.ts"
import { ImportRunning, KeysExist } from "./ImportFailures.ts"
import type { Pair, Pairs } from "./Pairs.ts"
import type { Position, Totals } from "./Position.ts"
import { encode } from "./Position.ts"
import { reading, writing } from "./Retry.ts"
import type { Rules } from "./Rules.ts"
import type { OnProgress } from "./Survey.ts"

/** Most operations of a transaction, of the 512 that it may have: one is the position. */
const maxOperations = 500

/** Bytes of a batch, old values and new ones, past which it is written. A transaction may have twice as many. */
const maxBatchBytes = 2 * 1024 * 1024

/** Times that a batch is decided again because a client wrote one of its keys meanwhile, or a lease ended. */
const attempts = 20

/** Keys that are read again at a time. */
const concurrency = 32

type CopyFailure = EtcdFailure | WriteFailure | ReadFailure | ImportRunning | KeysExist

interface Change {
  readonly pair: Pair
  readonly decision: "put" | "replace" | "delete"
}

type Counts = { -readonly [Name in keyof Totals]: number }

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64")

export interface CopyOptions {
  readonly kv: KeyValue["Service"]
  readonly leases: ImportedLeases
  readonly rules: Rules
  /** The key of the position. */
  readonly positionKey: string
}

export class Copy {
  private readonly options: CopyOptions
  private position: Position
  /** The revision in FlareDB of the position's row. */
  private positionRevision: number
  private totals: Counts
  private batch: Array<Change> = []
  private operations = 0
  private bytes = 0
  private after: string

  constructor(options: CopyOptions, position: Position, positionRevision: number) {
    this.options = options
    this.position = position
    this.positionRevision = positionRevision
    this.totals = { ...position.totals }
    this.after = position.after
  }

  /** Writes everything, and gives the position behind it. */
  readonly run = Effect.fnUntraced({ self: this }, function*(
    this: Copy,
    pairs: Pairs,
    onProgress: OnProgress
  ): Effect.fn.Return<Position, CopyFailure> {
    for (;;) {
      const page = yield* pairs.next
      if (page === undefined) break
      for (const pair of page) {
        if (this.operations >= maxOperations - 1 || this.bytes >= maxBatchBytes) {
          yield* this.flush()
          yield* onProgress(this.totals.bytes, this.position.ofBytes)
        }
        yield* this.take(pair)
      }
    }
    yield* this.flush()
    return this.position
  })

  /** Notes in the position that the import is complete. */
  readonly finish = Effect.suspend(() => {
    this.position = { ...this.position, done: true }
    return this.flush()
  })

  private take(pair: Pair): Effect.Effect<void, CopyFailure> {
    const { key, source, stored } = pair
    if (source !== undefined) {
      this.totals.keys += 1
      this.totals.bytes += key.byteLength + (source.value?.byteLength ?? 0)
    } else {
      this.totals.others += 1
    }
    const failure = this.add(pair)
    if (failure !== undefined) return Effect.fail(failure)
    this.bytes += 2 * key.byteLength + (source?.value?.byteLength ?? 0) + (stored?.value.byteLength ?? 0)
    this.after = base64(key)
    return Effect.void
  }

  /** Puts a key into the batch, if there is something to write. */
  private add(pair: Pair): KeysExist | undefined {
    const { leases, rules } = this.options
    const decision = decide(pair, leases, rules)
    switch (decision) {
      case "put":
      case "replace":
      case "delete":
        this.batch.push({ pair, decision })
        // The row of a lease that is granted for this key is another operation.
        this.operations += pair.source !== undefined && hasLease(pair.source) ? 2 : 1
        return undefined
      case "equal":
        this.totals.equal += 1
        return undefined
      case "keep":
        this.totals.kept += 1
        return undefined
      case "refuse":
        this.totals.refused += 1
        return undefined
      case "conflict":
        return new KeysExist({ count: 1, first: [keyText(pair.key)], begun: true })
      case "other":
        return undefined
    }
  }

  private readonly flush = Effect.fnUntraced({ self: this }, function*(this: Copy): Effect.fn.Return<
    void,
    CopyFailure
  > {
    for (let attempt = 1;; attempt++) {
      const written = yield* this.write()
      if (written) break
      if (attempt === attempts) {
        return yield* new KeysExist({
          count: this.batch.length,
          first: this.batch.map(({ pair }) => keyText(pair.key)).slice(0, 1),
          begun: true
        })
      }
      yield* this.decideAgain()
    }
    this.batch = []
    this.operations = 0
    this.bytes = 0
  })

  /** Writes the batch; false when a key or a lease is no longer as it was. */
  private readonly write = Effect.fnUntraced({ self: this }, function*(this: Copy): Effect.fn.Return<
    boolean,
    CopyFailure
  > {
    const { kv, leases, positionKey } = this.options
    const wanted = new Set(
      this.batch.flatMap(({ pair: { source } }) => source !== undefined && hasLease(source) ? [source.lease] : [])
    )
    yield* leases.grant(wanted)
    const live = this.batch.filter((change) => this.leaseOf(change) !== "ended")
    const rows = leases.rowsOf(wanted)
    const position = { ...this.position, after: this.after, totals: this.totalsWith(live, rows.length) }
    const text = encode(position)
    const txn = kv.transact({
      if: [
        Compare.modRevision(positionKey).equals(this.positionRevision),
        ...live.map(({ pair: { key, stored } }) => Compare.modRevision(key).equals(stored?.modRevision ?? 0))
      ],
      do: [Op.put(positionKey, text), ...rows, ...live.map((change) => this.operationOf(change))]
    })
    const outcome = yield* writing(txn).pipe(
      Effect.map(({ revision, succeeded }) => ({ revision, succeeded })),
      // Its first answer was lost. This one says whether it took effect.
      Effect.catchTag("ResultsNotKept", ({ revision, succeeded }) => Effect.succeed({ revision, succeeded })),
      Effect.catchTag("LeaseNotFound", ({ lease }) =>
        Effect.sync(() => {
          leases.end(lease)
          return undefined
        }))
    )
    if (outcome === undefined) return false
    if (outcome.succeeded || (yield* this.isWritten(text))) {
      leases.noted(wanted)
      this.position = position
      this.totals = { ...position.totals }
      if (outcome.succeeded) this.positionRevision = outcome.revision
      return true
    }
    return false
  })

  /** Whether the position is there already: the transaction took effect, and its answer was lost. */
  private readonly isWritten = Effect.fnUntraced({ self: this }, function*(this: Copy, text: string) {
    const { kv, positionKey } = this.options
    const row = Option.getOrUndefined(yield* reading(kv.get(positionKey)))
    if (row?.modRevision === this.positionRevision) return false
    if (row?.text !== text) return yield* new ImportRunning({ key: positionKey })
    this.positionRevision = row.modRevision
    return true
  })

  /** Reads the keys of the batch again, and decides about them. */
  private readonly decideAgain = Effect.fnUntraced({ self: this }, function*(this: Copy) {
    const { kv } = this.options
    const pairs = yield* Effect.forEach(
      this.batch,
      ({ pair }) => Effect.map(reading(kv.get(pair.key)), (row) => ({ ...pair, stored: Option.getOrUndefined(row) })),
      { concurrency }
    )
    this.batch = []
    for (const pair of pairs) {
      // A key that was to be deleted may be gone.
      if (pair.source === undefined && pair.stored === undefined) continue
      const failure = this.add(pair)
      if (failure !== undefined) return yield* failure
    }
  })

  /** The lease in FlareDB that a key is put with: 0 for none. */
  private leaseOf({ pair: { source } }: Change): number | "ended" {
    if (source === undefined || !hasLease(source)) return 0
    const lease = this.options.leases.get(source.lease)
    return lease === undefined || lease === 0 ? "ended" : lease
  }

  private operationOf(change: Change) {
    const { key, source } = change.pair
    const lease = this.leaseOf(change)
    return source?.value === undefined
      ? Op.delete(key)
      : Op.put(key, source.value, { lease: lease === "ended" ? 0 : lease })
  }

  private totalsWith(live: ReadonlyArray<Change>, leases: number): Totals {
    const of = (...decisions: ReadonlyArray<Change["decision"]>) =>
      live.filter(({ decision }) => decisions.includes(decision)).length
    const { deleted, ended, leases: before, replaced, written } = this.totals
    return {
      ...this.totals,
      written: written + of("put", "replace"),
      replaced: replaced + of("replace"),
      deleted: deleted + of("delete"),
      ended: ended + this.batch.length - live.length,
      leases: before + leases
    }
  }
}
