/**
 * Both sides read in the order of keys, and compared: how many keys there are, and a hash over keys, values and whether
 * each has a lease. Both are taken over all keys of etcd but those that were left out, and those whose lease has ended.
 */
import { Effect } from "effect"
import type { Hash } from "node:crypto"
import { createHash } from "node:crypto"
import type { ReadFailure } from "../../client/KeyValue.ts"
import { differenceOf, hasLease, keyText, refusalOf } from "./Decision.ts"
import type { ImportedLeases } from "./ImportedLeases.ts"
import type { EtcdFailure } from "./ImportFailures.ts"
import type { Pair, Pairs } from "./Pairs.ts"
import type { Rules } from "./Rules.ts"
import type { OnProgress } from "./Survey.ts"
import { maxNamed } from "./Survey.ts"

/** A side, as far as it was read. */
class SideHash {
  keys = 0
  private readonly hash: Hash = createHash("sha256")

  /** `u32 length, key, u32 length, value, u8 lease`, one after the other. */
  add(key: Uint8Array, value: Uint8Array, lease: boolean): void {
    this.keys += 1
    const record = Buffer.allocUnsafe(key.byteLength + value.byteLength + 9)
    record.writeUInt32BE(key.byteLength, 0)
    record.set(key, 4)
    record.writeUInt32BE(value.byteLength, key.byteLength + 4)
    record.set(value, key.byteLength + 8)
    record[record.byteLength - 1] = lease ? 1 : 0
    this.hash.update(record)
  }

  digest(): string {
    return this.hash.digest("hex")
  }
}

export interface Side {
  readonly keys: number
  readonly sha256: string
}

export interface Compared {
  readonly etcd: Side
  readonly flaredb: Side
  readonly differences: number
  /** The first ones, each with what differs. */
  readonly first: ReadonlyArray<string>
  /** Keys whose lease has ended in FlareDB. */
  readonly ended: number
  /** Keys that FlareDB does not take. */
  readonly refused: number
  /** Keys that were there with other contents, and stay as they are. */
  readonly kept: number
  /** Keys that etcd does not have. */
  readonly others: number
}

export interface ComparisonOptions {
  readonly leases: ImportedLeases
  readonly rules: Rules
  readonly skipRefused: boolean
  /** Whether an import wrote here: a key whose lease has ended is missing only then for a good reason. */
  readonly wasImported: boolean
  /** Keys that may differ, with `skip`; absent for any number. */
  readonly kept?: number | undefined
}

class Comparison {
  private readonly options: ComparisonOptions
  private readonly etcd = new SideHash()
  private readonly flaredb = new SideHash()
  private readonly first: Array<string> = []
  private differences = 0
  private ended = 0
  private refused = 0
  private kept = 0
  private others = 0

  constructor(options: ComparisonOptions) {
    this.options = options
  }

  /** Compares a key. */
  readonly take = (pair: Pair): Effect.Effect<void, ReadFailure> => {
    const { key, source, stored } = pair
    const { leases, rules, skipRefused, wasImported } = this.options
    if (source === undefined) {
      this.others += 1
      if (rules.exact) this.differ(pair, "is only in FlareDB")
      return Effect.void
    }
    const refusal = refusalOf(key, source)
    if (refusal !== undefined) {
      this.refused += 1
      if (!skipRefused) this.differ(pair, refusal)
      return Effect.void
    }
    if (stored === undefined) {
      const missing = Effect.sync(() => this.differ(pair, "is only in etcd"))
      return wasImported && hasLease(source)
        ? Effect.flatMap(leases.isAlive(source.lease), (alive) => alive ? missing : Effect.sync(() => this.ended++))
        : missing
    }
    const difference = differenceOf(source, stored, leases)
    if (difference === undefined) this.addBoth(pair)
    else if (rules.ifExists === "skip") this.kept += 1
    else this.differ(pair, difference === "value" ? "has another value" : "has another lease")
    return Effect.void
  }

  private differ(pair: Pair, how: string): void {
    this.differences += 1
    this.addBoth(pair)
    if (this.first.length < maxNamed) this.first.push(`${keyText(pair.key)} ${how}`)
  }

  private addBoth({ key, source, stored }: Pair): void {
    if (source?.value !== undefined) this.etcd.add(key, source.value, hasLease(source))
    if (stored !== undefined) this.flaredb.add(key, stored.value, stored.lease !== 0)
  }

  result(): Compared {
    const { kept } = this.options
    if (kept !== undefined && kept !== this.kept) {
      this.differences += 1
      this.first.push(`${this.kept} keys differ, and the import kept ${kept} as they were`)
    }
    return {
      etcd: { keys: this.etcd.keys, sha256: this.etcd.digest() },
      flaredb: { keys: this.flaredb.keys, sha256: this.flaredb.digest() },
      differences: this.differences,
      first: this.first,
      ended: this.ended,
      refused: this.refused,
      kept: this.kept,
      others: this.others
    }
  }
}

/** Compares all keys. */
export const compare = Effect.fnUntraced(function*(
  pairs: Pairs,
  options: ComparisonOptions,
  onProgress: OnProgress,
  ofBytes: number
): Effect.fn.Return<Compared, EtcdFailure | ReadFailure> {
  const comparison = new Comparison(options)
  let bytes = 0
  for (;;) {
    const page = yield* pairs.next
    if (page === undefined) return comparison.result()
    for (const pair of page) {
      // Most keys are equal: no effect is made for them.
      const taken = comparison.take(pair)
      if (taken !== Effect.void) yield* taken
      bytes += pair.source === undefined ? 0 : pair.key.byteLength + (pair.source.value?.byteLength ?? 0)
    }
    yield* onProgress(bytes, ofBytes)
  }
})
