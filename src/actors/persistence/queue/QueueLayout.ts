/**
 * The version of the rows of queues. Two versions that do not know all of each other's rows must not share a queue: an
 * id would be stored twice, and what a process claims as it offers would wait for consumers of its own version.
 *
 * - A row for all queues of a prefix says their version. A store looks at it before anything else, and refuses queues
 *   of a later version. The first version had no row: the rows that it left are read, and change as they are handled.
 * - Each consumer says its version in its key. One that meets a consumer of another version takes nothing and offers
 *   without a claim until that consumer is gone. Processes of the first version look at neither.
 */
import { Data, Effect, Option, Stream } from "effect"
import type { KeyValue, ReadFailure, WriteFailure } from "../../../client/KeyValue.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import type { QueueKeys } from "./Layout.ts"
import { layoutVersionKey } from "./Layout.ts"
import { pause, repeated } from "./Repeated.ts"

/** The version that is read and written. */
export const queueLayout = "2"

/** The version of a consumer, by the value of its key. */
const versionOf = (value: string): string => value === "" ? "1" : value

/** The queues were written by a release whose rows this one does not know. Nothing was read or changed. */
export class OtherQueueLayout extends Data.TaggedError("OtherQueueLayout")<{
  readonly key: string
  readonly version: string
}> {
  override get message() {
    return `${this.key} says that queues have layout ${this.version}, of which this release knows ${queueLayout} and ` +
      "before; nothing was read or changed. Start this process with the release of FlareDB that wrote them"
  }
}

/** A consumer of another version takes from the queue. */
export class OtherConsumer extends Data.TaggedError("OtherConsumer")<{
  readonly key: string
  readonly queue: string
  readonly version: string
}> {
  override get message() {
    return `a consumer of the queue ${JSON.stringify(this.queue)} has layout ${this.version} (${this.key}), this one ` +
      `${queueLayout}: it takes nothing while the other one is there. Stop the processes of the other release`
  }
}

export class QueueLayout {
  private readonly key: string
  private readonly kv: KeyValue["Service"]
  private isKnown = false

  constructor(prefix: string, kv: KeyValue["Service"]) {
    this.key = layoutVersionKey(prefix)
    this.kv = kv
  }

  /** Carries out an effect once the queues are known to be of this version; asks the store the first time only. */
  before<A, E, R>(
    effect: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | ReadFailure | WriteFailure | OtherQueueLayout, R> {
    return Effect.suspend(() => this.isKnown ? effect : Effect.andThen(this.compare(), effect))
  }

  /** The same for who waits for the store, however long it is away. */
  beforeWaiting<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | OtherQueueLayout, R> {
    return Effect.suspend(() => this.isKnown ? effect : Effect.andThen(this.wait(), effect))
  }

  private readonly compare = Effect.fnUntraced({ self: this }, function*(
    this: QueueLayout
  ): Effect.fn.Return<void, ReadFailure | WriteFailure | OtherQueueLayout> {
    const { key, kv } = this
    const before = yield* kv.get(key)
    if (Option.isNone(before)) {
      yield* repeated(kv.transact({ if: [Compare.missing(key)], do: [Op.put(key, queueLayout)] }))
    }
    const found = Option.isNone(before) ? yield* kv.get(key) : before
    // Deleted in between: the next call writes it again.
    if (Option.isNone(found)) return
    if (found.value.text !== queueLayout) return yield* new OtherQueueLayout({ key, version: found.value.text })
    this.isKnown = true
  })

  private readonly wait = Effect.fnUntraced({ self: this }, function*(
    this: QueueLayout
  ): Effect.fn.Return<void, OtherQueueLayout> {
    for (let attempts = 0;; attempts++) {
      const looked = yield* Effect.result(this.compare())
      if (looked._tag === "Success") return
      const { failure } = looked
      if (failure._tag === "OtherQueueLayout") return yield* failure
      if (attempts === 0) yield* Effect.logWarning("the layout of the queues is asked for until it is known", failure)
      yield* pause
    }
  })
}

/** What a consumer's key has to say for this version to take from its queue; the failure says what it says instead. */
export const sameLayout = (
  keys: QueueKeys,
  { keyText: key, text }: { readonly keyText: string; readonly text: string }
): Effect.Effect<void, OtherConsumer> =>
  text === queueLayout
    ? Effect.void
    : Effect.fail(new OtherConsumer({ key, queue: keys.name, version: versionOf(text) }))

/** Waits until no consumer of another version is at the queue. */
export const withoutOthers = (kv: KeyValue["Service"], keys: QueueKeys): Effect.Effect<void> =>
  kv.scanAll(keys.claimers).pipe(
    Stream.runForEach((entry) => sameLayout(keys, entry)),
    Effect.catch(() => Effect.andThen(pause, withoutOthers(kv, keys)))
  )
