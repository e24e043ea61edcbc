/**
 * A copy in memory of the keys under some prefixes. It lists them, then watches, and lists them again when it was away
 * for so long that history is gone. It knows up to which revision it has seen everything, so that a caller that has
 * read something else can wait until the copy is at least as recent.
 *
 * It holds at most `maxBytes`; beyond that it ends with `MirrorFull`.
 */
import { byteText } from "../bytes/Bytes.ts"
import { Data, Deferred, Effect, Exit, Latch, Option, Stream } from "effect"
import type { Scope } from "effect"
import type { Compacted } from "../FlareDbError.ts"
import { InvalidArgument } from "../FlareDbError.ts"
import { contains, prefixRange } from "../bytes/KeyRange.ts"
import { KeyRanges } from "../kv/model/KeyRanges.ts"
import type { Data as KeyData, KeyValueEntry } from "./Entry.ts"
import { bytesOf } from "./Entry.ts"
import { KeyValue } from "./KeyValue.ts"
import { entryBytes, listPrefixes } from "./Listing.ts"
import type { ReadFailure } from "./session/Requests.ts"
import { asRead } from "./session/Requests.ts"
import { countFromOneProblem } from "./session/Timeout.ts"
import { Compare } from "./Txn.ts"
import type { WatchFailure, WatchHandle, WatchOptions } from "./Watch.ts"
import type { Changes, Listed } from "./WatchNotice.ts"
import { rangesOf, Watch } from "./Watch.ts"

/** The keys under the prefixes take more memory than the mirror may hold. */
export class MirrorFull extends Data.TaggedError("MirrorFull")<{
  readonly bytes: number
  readonly maxBytes: number
}> {
  override get message() {
    return `the mirrored keys take ${this.bytes} bytes; at most ${this.maxBytes} are allowed. ` +
      "Mirror fewer prefixes, or raise maxBytes"
  }
}

/** How a mirror ends. */
export type MirrorFailure = Exclude<WatchFailure, Compacted> | ReadFailure | MirrorFull

/** Which keys a mirror has, and how much memory they may take. */
export interface MirrorOptions {
  /** Up to 512 prefixes with 64 KiB in all. */
  readonly prefixes: ReadonlyArray<KeyData>
  /**
   * A prefix of all prefixes, which is listed in their place. For many prefixes that make up most of it: one list of
   * some pages is faster than hundreds of one page each.
   */
  readonly listWithin?: KeyData | undefined
  /** Most bytes of keys and values, with some 200 for each entry. Default 64 MiB. */
  readonly maxBytes?: number | undefined
  /** As of `WatchOptions`. */
  readonly progressMs?: number | undefined
  /** As of `WatchOptions`: changes that the caller made itself. {@link Mirror.expects} says which it waits for. */
  readonly isOwn?: WatchOptions["isOwn"]
  /** Called with every list and every change, in order, once the mirror shows it. It must not take long. */
  readonly onUpdate?: ((update: Listed | Changes) => void) | undefined
}

const defaultMaxBytes = 64 * 1024 * 1024

/** What is wrong with options, if anything. */
const optionProblem = ({ listWithin, maxBytes }: MirrorOptions, ranges: KeyRanges): InvalidArgument | undefined => {
  const wrong = maxBytes === undefined ? undefined : countFromOneProblem("maxBytes", maxBytes)
  if (wrong !== undefined || listWithin === undefined) return wrong
  const within = prefixRange(bytesOf(listWithin))
  // What is outside would be missing, until it changes.
  return ranges.all.every(({ gte }) => contains(within, gte))
    ? undefined
    : new InvalidArgument({ field: "listWithin", problem: "is not what all prefixes begin with" })
}

/** Somebody who waits until the mirror has seen a revision. */
interface Waiter {
  readonly revision: number
  readonly seen: Deferred.Deferred<void, MirrorFailure>
}

/**
 * A copy of prefixes in memory, kept up to date by a watch. It can wait for a revision, and fails as `MirrorFull`
 * at its limit.
 */
export class Mirror {
  private readonly options: MirrorOptions
  private readonly ranges: KeyRanges
  private readonly keyValue: KeyValue["Service"]
  private readonly watch: Watch["Service"]
  private readonly maxBytes: number
  private readonly waiters = new Set<Waiter>()
  private readonly listed = Latch.makeUnsafe(false)
  private entriesByName = new Map<string, KeyValueEntry>()
  private held = 0
  private through = 0
  private handle: WatchHandle | undefined
  private failure: Exit.Exit<never, MirrorFailure> | undefined

  private constructor(
    options: MirrorOptions,
    ranges: KeyRanges,
    keyValue: KeyValue["Service"],
    watch: Watch["Service"]
  ) {
    this.options = options
    this.ranges = ranges
    this.keyValue = keyValue
    this.watch = watch
    this.maxBytes = options.maxBytes ?? defaultMaxBytes
  }

  /** A mirror that has listed its keys, and follows them until the scope closes. */
  static readonly make = Effect.fnUntraced(function*(
    options: MirrorOptions
  ): Effect.fn.Return<Mirror, MirrorFailure, KeyValue | Watch | Scope.Scope> {
    const ranges = rangesOf({ prefixes: options.prefixes })
    if (!(ranges instanceof KeyRanges)) {
      return yield* new InvalidArgument({ field: ranges.field, problem: ranges.problem })
    }
    const wrong = optionProblem(options, ranges)
    if (wrong !== undefined) return yield* wrong
    const mirror = new Mirror(options, ranges, yield* KeyValue, yield* Watch)
    yield* Effect.forkScoped(Effect.onExit(mirror.follow(), (exit) => mirror.end(exit)))
    yield* mirror.listed.await
    if (mirror.failure !== undefined) yield* mirror.failure
    return mirror
  })

  /** Every change up to and including this revision is in the mirror. */
  get revision(): number {
    return this.through
  }

  /** Whether it has failed; it follows nothing any more. */
  get isEnded(): boolean {
    return this.failure !== undefined
  }

  get size(): number {
    return this.entriesByName.size
  }

  /** About how much memory the entries take. */
  get bytes(): number {
    return this.held
  }

  get(key: KeyData): Option.Option<KeyValueEntry> {
    return Option.fromUndefinedOr(this.entriesByName.get(byteText(bytesOf(key))))
  }

  /** All entries, in no order. */
  get entries(): Iterable<KeyValueEntry> {
    return this.entriesByName.values()
  }

  /** Waits until the mirror has seen a revision; asks the cluster for its progress when it has not. */
  awaitRevision(revision: number): Effect.Effect<void, MirrorFailure> {
    return Effect.suspend((): Effect.Effect<void, MirrorFailure> => {
      if (this.failure !== undefined) return this.failure
      if (this.through >= revision) return Effect.void
      const waiter: Waiter = { revision, seen: Deferred.makeUnsafe() }
      this.waiters.add(waiter)
      return (this.handle?.requestProgress ?? Effect.void).pipe(
        Effect.andThen(Deferred.await(waiter.seen)),
        Effect.ensuring(Effect.sync(() => this.waiters.delete(waiter)))
      )
    })
  }

  /** The caller needs to see a change of this revision soon, although it made that itself. Returns at once. */
  expects(revision: number): void {
    if (this.through < revision) this.handle?.expects(revision)
  }

  /** Waits until the mirror has seen whatever was acknowledged before, and says up to which revision that is. */
  readonly sync: Effect.Effect<number, MirrorFailure> = Effect.suspend(() => {
    // What a transaction answers says which revision it is of. It names a key that the caller may read: its own.
    const [first] = this.ranges.all
    const key = first === undefined || first.gte.byteLength === 0 ? "-" : first.gte
    const anything = { if: [Compare.exists(key)] }
    return Effect.flatMap(
      asRead(this.keyValue.transact(anything, { consistency: "linearizable" })),
      ({ revision }) => Effect.as(this.awaitRevision(revision), revision)
    )
  })

  private readonly follow = Effect.fnUntraced({ self: this }, function*(this: Mirror) {
    for (;;) {
      const ended = yield* Effect.result(Effect.scoped(this.listAndWatch()))
      if (ended._tag === "Failure" && ended.failure._tag !== "Compacted") return yield* ended.failure
    }
  })

  private readonly listAndWatch = Effect.fnUntraced({ self: this }, function*(this: Mirror) {
    const listing = yield* Effect.catchTag(
      listPrefixes(this.keyValue, this.ranges, this.maxBytes, this.options.listWithin),
      "ListTooLarge",
      ({ bytes }) => Effect.fail(new MirrorFull({ bytes, maxBytes: this.maxBytes }))
    )
    const { isOwn, progressMs } = this.options
    const handle = yield* this.watch.open(
      { ranges: this.ranges.all.map(({ gte, lt }) => ({ from: gte, to: lt })) },
      { isOwn, progressMs, fromRevision: listing.from }
    )
    this.handle = handle
    if (this.waiters.size > 0) yield* handle.requestProgress
    yield* Stream.runForEach(handle.notices, (notice) => {
      for (const update of listing.take(notice)) {
        if (update._tag === "Listed") this.replace(update)
        else {for (const event of update.events) {
            this.set(byteText(event.key), event._tag === "Put" ? event.entry : undefined)
          }}
        this.options.onUpdate?.(update)
        this.sees(update.revision)
        // A caller that waits goes on at once, and is to find what `onUpdate` made of the list.
        this.listed.openUnsafe()
      }
      if (this.held > this.maxBytes) return Effect.fail(new MirrorFull({ bytes: this.held, maxBytes: this.maxBytes }))
      // Before the list is complete, what a watch tells is not in the mirror.
      if (notice._tag === "Progress" && listing.isComplete) this.sees(notice.revision)
      return Effect.void
    })
  })

  private replace({ entries }: Listed): void {
    this.entriesByName = new Map()
    this.held = 0
    for (const entry of entries) this.set(byteText(entry.key), entry)
  }

  private set(name: string, entry: KeyValueEntry | undefined): void {
    const before = this.entriesByName.get(name)
    if (before !== undefined) this.held -= entryBytes(before)
    if (entry === undefined) {
      this.entriesByName.delete(name)
      return
    }
    this.held += entryBytes(entry)
    this.entriesByName.set(name, entry)
  }

  private sees(revision: number): void {
    // A new list is never older: its pages were read after what was seen before.
    this.through = Math.max(this.through, revision)
    for (const waiter of this.waiters) {
      if (waiter.revision <= this.through) Deferred.doneUnsafe(waiter.seen, Exit.void)
    }
  }

  private end(exit: Exit.Exit<never, MirrorFailure>): Effect.Effect<void> {
    return Effect.sync(() => {
      this.failure = exit
      this.listed.openUnsafe()
      for (const waiter of this.waiters) Deferred.doneUnsafe(waiter.seen, exit)
    })
  }
}
