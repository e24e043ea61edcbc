/**
 * Watching keys as a service: every change, once and in order, for as long as one listens. It goes on by itself over
 * lost connections, restarted nodes and new leaders; `docs/watch.md` says what it promises.
 */
import { Context, Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import type { Compacted } from "../FlareDbError.ts"
import { InvalidArgument } from "../FlareDbError.ts"
import type { Change, Revision } from "../kv/model/History.ts"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { prefixRange, singleKey } from "../bytes/KeyRange.ts"
import type { RangeNames } from "../kv/model/KeyRange.ts"
import { KeyRanges } from "../kv/model/KeyRanges.ts"
import type { KeyRecord } from "../kv/model/KeyRecord.ts"
import type { Problem } from "../kv/model/Limits.ts"
import { keyProblem, problem } from "../kv/model/Limits.ts"
import type { ResolvedClientOptions } from "./ClientOptions.ts"
import { maxWatchWaitMs } from "../protocol/ClientRpcs.ts"
import type { WatchRequest } from "./connection/Connection.ts"
import type { ConnectionPool } from "./connection/ConnectionPool.ts"
import type { Data } from "./Entry.ts"
import { bytesOf, KeyValueEntry } from "./Entry.ts"
import type { KeyValue } from "./KeyValue.ts"
import { listPrefixes } from "./Listing.ts"
import { Position } from "./Position.ts"
import type { Router } from "./session/Router.ts"
import type { Told, WatchFailure } from "./Watcher.ts"
import { WatchOpenings } from "./WatchOpenings.ts"
import { Watcher } from "./Watcher.ts"
import type { Changes, Listed, Progress, WatchEvent, WatchNotice } from "./WatchNotice.ts"
import { DeleteEvent, PutEvent } from "./WatchNotice.ts"
import { WatchRest } from "./WatchRest.ts"

export type { WatchFailure } from "./Watcher.ts"

/** Keys from `from` up to and without `to`. */
export interface WatchedRange {
  readonly from: Data
  readonly to: Data
}

/**
 * Which keys: one, those that begin with a prefix (all for the empty one), or those of a range. `keys`, `prefixes` and
 * `ranges` are several at once, up to 512 with 64 KiB in all: one watch, whose changes of one revision come together.
 */
export type WatchTarget =
  | { readonly key: Data }
  | { readonly prefix: Data }
  | { readonly range: WatchedRange }
  | {
    readonly keys?: ReadonlyArray<Data> | undefined
    readonly prefixes?: ReadonlyArray<Data> | undefined
    readonly ranges?: ReadonlyArray<WatchedRange> | undefined
  }

/** Where a watch begins, and what it tells besides changes. */
export interface WatchOptions {
  /**
   * The first revision to tell of. When it is absent, everything that is acknowledged after the watch has begun is
   * told;
   * `Began` says from which revision on that is.
   */
  readonly fromRevision?: number | undefined
  /**
   * Go on behind this position, which another watch told of: with the revision after it, in the same cluster. In
   * another one the watch fails with `WrongCluster`. Takes the place of `fromRevision`, which says nothing of the
   * cluster.
   */
  readonly after?: Position | undefined
  /**
   * Tell what the changes replaced, as far as history has it, up to 4 MiB of values for one revision. Default false.
   */
  readonly previous?: boolean | undefined
  /** Only puts, or only deletes. */
  readonly only?: "puts" | "deletes" | undefined
  /**
   * Milliseconds without a change after which the node has to confirm that there was none, 100 to 60,000. It bounds
   * how long a watch stays at a node that is cut off. Default 5000.
   */
  readonly progressMs?: number | undefined
  /**
   * Whether the caller made a change itself and needs no notice of it soon; asked once of each change. While nothing
   * else comes, the watch rests 100 ms after each part, so that fewer and larger parts come. It rests neither for a
   * second after a change of another process nor while the caller waits for a revision or for progress. By default it
   * never rests.
   */
  readonly isOwn?: ((event: WatchEvent) => boolean) | undefined
  /**
   * Parts that may wait for the consumer, each of about 256 KiB at most unless a single revision is larger. Default 4.
   */
  readonly buffer?: number | undefined
}

/** A watch that can be asked how far the cluster is. */
export interface WatchHandle {
  readonly notices: Stream.Stream<WatchNotice, WatchFailure>
  /**
   * Has a `Progress` come as soon as possible, whose revision is at least that of anything acknowledged before. Without
   * it, one comes after `progressMs` milliseconds without a change. Returns at once.
   */
  readonly requestProgress: Effect.Effect<void>
  /** The caller waits for a change of this revision: a watch that rests (`isOwn`) goes on at once. */
  readonly expects: (revision: number) => void
}

/**
 * Changes of keys as they happen, each once and in order.
 *
 * **When to use**
 *
 * To keep something up to date with the store: a cache, an index, a page. `mirror` keeps a copy in memory and does
 * the bookkeeping.
 *
 * **Details**
 *
 * A watch goes on over lost connections, new leaders and restarted nodes, from where it was. It covers one key, a
 * prefix, or up to 512 ranges. `after` takes a `Position` that a program stored, and goes on behind it after a
 * restart. `progressMs` is how often a watch at rest says how far it is, in milliseconds.
 *
 * **Gotchas**
 *
 * History is finite: a watch from a revision that is gone fails with `Compacted`. Read the keys again then, and
 * watch from the revision of what was read plus one. A slow consumer is waited for, and may fall so far behind.
 */
export class Watch extends Context.Service<Watch, {
  /** Every change, revision by revision, in order. */
  readonly changes: (target: WatchTarget, options?: WatchOptions) => Stream.Stream<Changes, WatchFailure>

  /**
   * The same with where it begins, and with how far it is: at least every `progressMs` milliseconds while nothing
   * changes.
   */
  readonly notices: (target: WatchTarget, options?: WatchOptions) => Stream.Stream<WatchNotice, WatchFailure>

  /** As `notices`, with a way to ask how far the cluster is. It ends with the scope; `notices` is run once. */
  readonly open: (target: WatchTarget, options?: WatchOptions) => Effect.Effect<WatchHandle, never, Scope.Scope>

  /**
   * All keys of a prefix, and then their changes: what a copy in memory is kept up to date with. When it was away for
   * so long that history is gone, it lists them again. The list is held in memory as a whole.
   */
  readonly mirror: (
    prefix: Data,
    options?: Omit<WatchOptions, "after" | "fromRevision" | "only">
  ) => Stream.Stream<Listed | Changes, Exclude<WatchFailure, Compacted>>
}>()("flaredb/client/Watch") {}

export const defaultProgressMs = 5_000
const minProgressMs = 100
const defaultBuffer = 4
const maxBuffer = 1_024

export interface WatchParts {
  readonly client: ResolvedClientOptions
  /** Connections for watches alone. */
  readonly pool: ConnectionPool
  readonly router: Router
  readonly keyValue: KeyValue["Service"]
}

export const make = ({ client, keyValue, pool, router }: WatchParts): Watch["Service"] => {
  const openings = new WatchOpenings()
  const open: Watch["Service"]["open"] = (target, options = {}) => {
    const request = requestOf(target, options)
    if (request instanceof InvalidArgument) {
      return Effect.succeed({
        notices: Stream.fail(request),
        requestProgress: Effect.void,
        expects: () => undefined
      })
    }
    const { buffer = defaultBuffer, isOwn, previous = false, progressMs = defaultProgressMs } = options
    return Effect.map(
      Watcher.make({ client, pool, router, openings, request, cluster: options.after?.cluster, progressMs }),
      (watcher): WatchHandle => {
        const rest = isOwn === undefined ? undefined : new WatchRest(isOwn)
        const asked = Effect.map(watcher.next, (told) => noticesOf(told, previous))
        const next = rest === undefined
          ? asked
          : Effect.andThen(rest.awaitEnd, Effect.tap(asked, (notices) => rest.saw(notices)))
        return {
          notices: Stream.fromEffectRepeat(next).pipe(Stream.buffer({ capacity: buffer }), Stream.flattenArray),
          requestProgress: Effect.suspend(() => {
            rest?.progressRequested()
            return Effect.asVoid(watcher.requestProgress)
          }),
          expects: (revision) => rest?.expects(revision)
        }
      }
    )
  }

  const notices: Watch["Service"]["notices"] = (target, options) =>
    Stream.unwrap(Effect.map(open(target, options), (handle) => handle.notices))

  const changes: Watch["Service"]["changes"] = (target, options) =>
    Stream.filter(notices(target, options), (notice) => notice._tag === "Changes")

  const mirror: Watch["Service"]["mirror"] = (prefix, options) =>
    Stream.unwrap(
      Effect.map(listing(keyValue, prefix), (listing) =>
        Stream.mapAccum(
          notices({ prefix }, { ...options, fromRevision: listing.from }),
          () => listing,
          (state, notice) => [state, state.take(notice)]
        ))
    ).pipe(Stream.catchTag("Compacted", () => mirror(prefix, options)))

  return Watch.of({ changes, notices, open, mirror })
}

/** A list without a bound: the stream's consumer holds it. */
const listing = (keyValue: KeyValue["Service"], prefix: Data) =>
  Effect.catchTag(
    listPrefixes(keyValue, KeyRanges.of(prefixRange(bytesOf(prefix))), Number.MAX_SAFE_INTEGER),
    "ListTooLarge",
    Effect.die
  )

/** What a watch told, as its consumer gets it. */
const noticesOf = (told: Told, previous: boolean): readonly [WatchNotice, ...ReadonlyArray<WatchNotice>] => {
  const { cluster } = told
  if (told._tag === "Began") {
    const { revision } = told
    return [{ _tag: "Began", revision, position: new Position(cluster, revision - 1) }]
  }
  const progress: Progress = {
    _tag: "Progress",
    revision: told.through,
    position: new Position(cluster, told.through)
  }
  const [first, ...rest] = told.revisions.map((revision) => changesOf(revision, cluster, previous))
  return first === undefined ? [progress] : [first, ...rest, progress]
}

const changesOf = (
  { changes, logTimeMs, revision }: Revision,
  cluster: ClusterIdentity,
  previous: boolean
): Changes => ({
  _tag: "Changes",
  revision,
  logTimeMs,
  position: new Position(cluster, revision),
  events: changes.map((change) => eventOf(change, previous))
})

/** Copies, because what came is a view of all that came with it, or of what others see too. */
const eventOf = ({ key: view, previous, record }: Change, wanted: boolean): WatchEvent => {
  const key = new Uint8Array(view)
  const before = wanted && previous !== undefined ? entryOf(key, previous) : undefined
  return record === undefined ? new DeleteEvent(key, before) : new PutEvent(key, entryOf(key, record), before)
}

const entryOf = (key: Uint8Array, record: KeyRecord): KeyValueEntry =>
  new KeyValueEntry(key, { ...record, value: new Uint8Array(record.value) })

const requestOf = (target: WatchTarget, options: WatchOptions): WatchRequest | InvalidArgument => {
  const ranges = rangesOf(target)
  if (!(ranges instanceof KeyRanges)) return new InvalidArgument({ field: ranges.field, problem: ranges.problem })
  const found = optionProblem(options)
  if (found !== undefined) return new InvalidArgument({ field: found.field, problem: found.problem })
  return {
    ranges,
    from: options.after === undefined ? options.fromRevision : options.after.revision + 1,
    previous: options.previous ?? false,
    only: options.only
  }
}

/** The lists of a target that names several ranges at once. */
const lists = ["keys", "prefixes", "ranges"] as const

/** The ranges of a target, or what is wrong with them, in the words of the target. */
export const rangesOf = (target: WatchTarget): KeyRanges | Problem => {
  const named = namedRanges(target)
  for (const { keyBytes, names } of named) {
    const found = keyBytes === undefined ? undefined : keyProblem(keyBytes, names.whole)
    if (found !== undefined) return found
  }
  const given = lists.filter((list) => list in target)
  return KeyRanges.make(named.map(({ range }) => range), {
    all: (given.length === 0 ? lists : given).join(" or "),
    each: named.map(({ names }) => names)
  })
}

interface NamedRange {
  readonly names: RangeNames
  readonly range: KeyRange
  /** How many bytes the key has that was given in its place. */
  readonly keyBytes?: number
}

const namedRanges = (target: WatchTarget): ReadonlyArray<NamedRange> => {
  const oneName = (name: string): RangeNames => ({ whole: name, gte: name, lt: name })
  const ofKey = (name: string, data: Data): NamedRange => {
    const key = bytesOf(data)
    return { names: oneName(name), range: singleKey(key), keyBytes: key.byteLength }
  }
  const ofPrefix = (name: string, data: Data): NamedRange => ({
    names: oneName(name),
    range: prefixRange(bytesOf(data))
  })
  const ofRange = (name: string, { from, to }: WatchedRange): NamedRange => ({
    names: { whole: name, gte: `${name}.from`, lt: `${name}.to` },
    range: { gte: bytesOf(from), lt: bytesOf(to) }
  })
  if ("key" in target) return [ofKey("key", target.key)]
  if ("prefix" in target) return [ofPrefix("prefix", target.prefix)]
  if ("range" in target) return [ofRange("range", target.range)]
  const { keys = [], prefixes = [], ranges = [] } = target
  return [
    ...keys.map((key, i) => ofKey(`keys[${i}]`, key)),
    ...prefixes.map((prefix, i) => ofPrefix(`prefixes[${i}]`, prefix)),
    ...ranges.map((range, i) => ofRange(`ranges[${i}]`, range))
  ]
}

const between = (field: string, value: number | undefined, minimum: number, maximum: number): Problem | undefined =>
  value === undefined || (Number.isSafeInteger(value) && value >= minimum && value <= maximum)
    ? undefined
    : problem(field, `${value} is not an integer from ${minimum} to ${maximum}`)

const optionProblem = ({ after, buffer, fromRevision, progressMs }: WatchOptions): Problem | undefined =>
  (after === undefined || fromRevision === undefined
    ? undefined
    : problem("after", "and fromRevision are both given; one of them says where to begin")) ??
    between("after", after?.revision, 0, Number.MAX_SAFE_INTEGER - 1) ??
    between("fromRevision", fromRevision, 1, Number.MAX_SAFE_INTEGER) ??
    between("progressMs", progressMs, minProgressMs, maxWatchWaitMs) ??
    between("buffer", buffer, 1, maxBuffer)
