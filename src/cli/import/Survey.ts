/**
 * What there is to import, found before anything is written: how many keys, those that FlareDB does not take, those
 * that are there already, and the leases.
 */
import { Effect } from "effect"
import type { ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import type { Leases } from "../../client/Lease.ts"
import { maxLeaseKeys, maxLeases, maxTtlMs } from "../../kv/model/Limits.ts"
import { formatDuration } from "../../DurationText.ts"
import { decide, hasLease, keyText, refusalOf } from "./Decision.ts"
import type { EtcdSource } from "./EtcdSource.ts"
import type { ImportedLeases } from "./ImportedLeases.ts"
import type { EtcdFailure } from "./ImportFailures.ts"
import { KeysExist, KeysRefused, LeasesRefused, NothingInEtcd } from "./ImportFailures.ts"
import type { Pairs } from "./Pairs.ts"
import type { Rules } from "./Rules.ts"
import { writing } from "./Retry.ts"

/** Keys that are named of each kind; more are counted. */
export const maxNamed = 20

/** Some keys by name, and how many there are. */
export interface Found {
  readonly count: number
  readonly first: ReadonlyArray<string>
}

export interface Survey {
  /** Keys of etcd, and the bytes of their keys and values. */
  readonly keys: number
  readonly bytes: number
  /** Keys that are in FlareDB as they are in etcd. */
  readonly equal: number
  /** Keys that are there with other contents. */
  readonly different: Found
  /** Keys that FlareDB does not take. */
  readonly refused: Found
  /** Keys of FlareDB that etcd does not have. */
  readonly others: Found
  /** How many keys each lease of etcd has. */
  readonly leases: ReadonlyMap<string, number>
}

class Finding implements Found {
  count = 0
  readonly first: Array<string> = []

  add(text: string): void {
    this.count += 1
    if (this.first.length < maxNamed) this.first.push(text)
  }
}

export type OnProgress = (bytes: number, ofBytes: number) => Effect.Effect<void>

/** Reads both sides from their first key to the last. */
export const survey = Effect.fnUntraced(function*(
  pairs: Pairs,
  leases: ImportedLeases,
  onProgress: OnProgress
): Effect.fn.Return<Survey, EtcdFailure | ReadFailure | LeasesRefused> {
  let [keys, bytes, equal] = [0, 0, 0]
  const [different, refused, others] = [new Finding(), new Finding(), new Finding()]
  const perLease = new Map<string, number>()
  const rules: Rules = { ifExists: "skip", exact: false }
  for (;;) {
    const page = yield* pairs.next
    if (page === undefined) break
    for (const pair of page) {
      const { key, source } = pair
      if (source !== undefined) {
        keys += 1
        bytes += key.byteLength + (source.value?.byteLength ?? 0)
        if (hasLease(source)) perLease.set(source.lease, (perLease.get(source.lease) ?? 0) + 1)
      }
      switch (decide(pair, leases, rules)) {
        case "equal":
          equal += 1
          break
        case "keep":
          different.add(keyText(key))
          break
        case "refuse":
          if (source !== undefined) refused.add(`${keyText(source.key)}: ${refusalOf(key, source)}`)
          break
        case "other":
          others.add(keyText(key))
          break
      }
    }
    if (perLease.size > maxLeases) {
      return yield* new LeasesRefused({
        problem:
          `the keys have more than ${maxLeases} leases, the most that FlareDB has; import one prefix after another`
      })
    }
    yield* onProgress(bytes, 0)
  }
  return { keys, bytes, equal, different, refused, others, leases: perLease }
})

/** What hinders an import that was surveyed, if anything does. */
export const hindrance = (
  { different, keys, leases, others, refused }: Survey,
  { exact, ifExists }: Rules,
  skipRefused: boolean
): KeysRefused | KeysExist | LeasesRefused | NothingInEtcd | undefined => {
  if (exact && keys === 0 && others.count > 0) return new NothingInEtcd(others)
  if (refused.count > 0 && !skipRefused) return new KeysRefused(refused)
  // One place is for the row that notes the lease.
  const large = [...leases].find(([, keys]) => keys >= maxLeaseKeys)
  if (large !== undefined) {
    return new LeasesRefused({
      problem:
        `lease ${large[0]} of etcd has ${large[1]} keys; one of FlareDB has at most ${maxLeaseKeys}, of which the ` +
        "import takes one. Spread the keys over several leases in etcd"
    })
  }
  return different.count > 0 && ifExists === "fail" ? new KeysExist({ ...different, begun: false }) : undefined
}

/** Leases that etcd is asked about at a time. */
const concurrency = 16

/**
 * Makes sure that FlareDB grants the longest of the leases, whose limit nodes are configured with: it is granted and
 * revoked. `maxLeaseMs` is the most that any is granted.
 */
export const checkLeases = Effect.fnUntraced(function*(
  found: Survey,
  source: EtcdSource,
  leases: Leases["Service"],
  maxLeaseMs: number | undefined
): Effect.fn.Return<void, EtcdFailure | WriteFailure | LeasesRefused> {
  let longestMs = 0
  yield* Effect.forEach(
    found.leases.keys(),
    (lease) =>
      Effect.map(source.remainingSeconds(lease), (seconds) => {
        longestMs = Math.max(longestMs, Math.min(seconds * 1_000, maxLeaseMs ?? Infinity))
      }),
    { concurrency, discard: true }
  )
  if (longestMs < 1_000) return
  const refused = (problem: string) =>
    new LeasesRefused({
      problem: `a lease of etcd has ${formatDuration(longestMs)} left, and ${problem}. Give such leases less with ` +
        "--max-lease, or raise maxLeaseTtlMs of the nodes"
    })
  if (longestMs > maxTtlMs) return yield* refused(`one of FlareDB has at most ${formatDuration(maxTtlMs)}`)
  const { id } = yield* writing(leases.grant(longestMs)).pipe(
    Effect.catchTag("InvalidArgument", ({ problem }) => Effect.fail(refused(`the nodes refuse it: ${problem}`)))
  )
  yield* Effect.ignore(leases.revoke(id))
})
