/**
 * Reads the rows of actors page by page: a list has one page in memory, however many rows there are. Pages are
 * read at different times, so that what changes meanwhile may be in a list or not.
 */
import { Effect, Option, Stream } from "effect"
import type { KeyValue, KeyValueEntry, ReadFailure, ReadOptions } from "../../client/KeyValue.ts"
import type { LeaseDetails, Leases } from "../../client/Lease.ts"
import { ClusterKeys } from "../cluster/ClusterKeys.ts"
import type { ClusterName } from "../cluster/ClusterKeys.ts"
import { defaultPrefix } from "../persistence/Keys.ts"
import { QueueLayout } from "../persistence/queue/QueueLayout.ts"

/** Which cluster of runners is shown, and how recent that has to be. */
export interface OverviewOptions extends ClusterName {
  /** How the store is read. Default linearizable; `stale` asks only the node that is connected. */
  readonly consistency?: ReadOptions["consistency"]
}

/** What a list reads at most. It then says that there is more, instead of going on. */
export interface Budget {
  /** Rows that may still be read. */
  left: number
}

/** Rows of a page. A page also ends at 4 MiB. */
const pageRows = 1_000

/** Comes behind a slash, so that a key with it comes behind all keys below a name. */
const behindSlash = "0"

export class Reader {
  readonly keys: ClusterKeys
  readonly prefix: string
  readonly queueLayout: QueueLayout
  readonly kv: KeyValue["Service"]
  private readonly leases: Leases["Service"]
  readonly read: ReadOptions

  constructor(kv: KeyValue["Service"], leases: Leases["Service"], options: OverviewOptions = {}) {
    this.keys = new ClusterKeys(options)
    this.prefix = options.prefix ?? defaultPrefix
    this.queueLayout = new QueueLayout(this.prefix, kv)
    this.kv = kv
    this.leases = leases
    const { consistency } = options
    this.read = consistency === undefined ? {} : { consistency, ...consistency === "stale" ? { readFrom: "any" } : {} }
  }

  get(key: string) {
    return this.kv.get(key, this.read)
  }

  /** The first row of a prefix, or the last. */
  first(prefix: string, { keysOnly = false, limit = 1, reverse = false } = {}) {
    return Effect.map(this.kv.scan(prefix, { ...this.read, limit, reverse, keysOnly }), ({ entries }) => entries)
  }

  rows(prefix: string, keysOnly = false): Stream.Stream<KeyValueEntry, ReadFailure> {
    return this.kv.scanAll(prefix, { ...this.read, keysOnly, limit: pageRows })
  }

  /** Goes through rows; `false` when the budget ended before them. */
  readonly each = Effect.fnUntraced({ self: this }, function*(
    this: Reader,
    prefix: string,
    visit: (entry: KeyValueEntry) => void,
    { budget = { left: Infinity }, keysOnly = false }: {
      readonly budget?: Budget | undefined
      readonly keysOnly?: boolean
    } = {}
  ): Effect.fn.Return<boolean, ReadFailure> {
    let cursor: Uint8Array | undefined
    while (budget.left > 0) {
      const limit = Math.min(pageRows, budget.left)
      const page = yield* this.kv.scan(prefix, { ...this.read, cursor, keysOnly, limit })
      budget.left -= page.entries.length
      page.entries.forEach(visit)
      if (page.cursor === undefined) return true
      cursor = page.cursor
    }
    return (yield* this.first(prefix, { keysOnly: true })).length === 0
  })

  /** The names that come next in the keys of a prefix, as they stand there; a read for each. */
  names(prefix: string): Stream.Stream<string, ReadFailure> {
    return Stream.paginate(
      undefined as string | undefined,
      (cursor) =>
        Effect.map(this.kv.scan(prefix, { ...this.read, cursor, keysOnly: true, limit: 1 }), ({ entries: [entry] }) => {
          const name = entry?.keyText.slice(prefix.length).split("/", 1)[0]
          return name === undefined
            ? [[], Option.none<string | undefined>()] as const
            : [[name], Option.some<string | undefined>(`${prefix}${name}${behindSlash}`)] as const
        })
    )
  }

  /**
   * What is left of a lease; `undefined` for one that has ended, and for one of another user: roles allow keys, and a
   * lease is its owner's. Who may read the rows is still to see the rest of what they say.
   */
  lease(id: number): Effect.Effect<LeaseDetails | undefined, ReadFailure> {
    return this.leases.timeToLive(id, this.read).pipe(
      Effect.catchTag(["LeaseNotFound", "Unauthorized"], () => Effect.undefined)
    )
  }
}
