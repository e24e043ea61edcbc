/**
 * When there are replies to read for requests whose runner died: Effect reads those from the storage, at its poll
 * interval. A watch of the requests' rows, where their exits are put, and of chunks has it read them at once. The poll
 * remains as a backstop.
 *
 * At most {@link maxWatched} requests are watched, the oldest. A wake-up has Effect read the replies of all that wait,
 * so the others are not far behind when many wait for one runner; after that, they are watched in their turn.
 */
import { Clock, Context, Duration, Effect, Fiber, Latch, Layer, Stream } from "effect"
import { Message, MessageStorage, Runners, ShardingConfig } from "effect/cluster"
import { Watch } from "../../client/Watch.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import type { ClusterName } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"

type Request = Parameters<MessageStorage.MessageStorage["Service"]["saveRequest"]>[0]

/** Requests that are watched at once, with two keys each, and most bytes of those keys. */
const maxWatched = 128
const maxKeyBytes = 24 * 1024

/** Pause before a watch that failed is begun again, in milliseconds. */
const pauseMs = 500

/** Polls without a reading after which no caller waits any more, and the shortest time for them in milliseconds. */
const idlePolls = 3
const minIdleMs = 60_000

/**
 * What tells the callers of a process that replies have come.
 *
 * **When to use**
 *
 * Not in programs. Its name is public because `Actors.layerStorage` provides it.
 */
export class ReplyWork extends Context.Service<ReplyWork, {
  /** Waits until there may be replies for a request that waits for them, and gives one such request. */
  readonly next: Effect.Effect<Request>
  /** Marks a request that is sent only to have Effect read replies. It is not saved. */
  readonly readsOnly: (request: Request) => Effect.Effect<void>
}>()("flaredb/actors/ReplyWork") {
  /** Has Effect read replies as soon as there are some. */
  static readonly layerWake: Layer.Layer<never, never, ReplyWork | Runners.Runners> = Layer.effectDiscard(
    Effect.gen(function*() {
      const work = yield* ReplyWork
      const runners = yield* Runners.Runners
      const wake = Effect.fnUntraced(function*(request: Request) {
        // To join the wait for a request's replies makes Effect read those of all requests. It leaves again at once.
        const joining = new Message.OutgoingRequest({ ...request, respond: () => Effect.void })
        yield* work.readsOnly(joining)
        const joined = yield* Effect.forkChild(
          Effect.ignore(runners.notifyLocal({
            message: joining,
            notify: () => Effect.void,
            discard: false,
            storageOnly: true
          })),
          { startImmediately: true }
        )
        yield* Fiber.interrupt(joined)
      })
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(work.next, wake)))
    })
  )
}

class ReplyWatch {
  private readonly keys: ClusterKeys
  private readonly watch: Watch["Service"]
  private readonly clock: Clock.Clock
  private readonly idleMs: number
  /** Requests that Effect asked for last and that had no reply, the oldest first. */
  private waiting = new Map<string, Request>()
  private watched: ReadonlySet<string> = new Set()
  private askedMs = 0
  private readonly changed = Latch.makeUnsafe(false)
  private readonly work = Latch.makeUnsafe(false)

  constructor(keys: ClusterKeys, watch: Watch["Service"], clock: Clock.Clock, idleMs: number) {
    this.keys = keys
    this.watch = watch
    this.clock = clock
    this.idleMs = idleMs
  }

  /** Waits for work; one caller at a time. */
  readonly next: Effect.Effect<Request> = Effect.suspend(() =>
    Effect.flatMap(this.work.await, () => {
      this.work.closeUnsafe()
      const first = this.waiting.values().next()
      return first.done === true ? this.next : Effect.succeed(first.value)
    })
  )

  /** Effect read these, and found replies to some. */
  asked(requests: ReadonlyArray<Request>, answered: ReadonlySet<string>): void {
    this.askedMs = monotonicMsOf(this.clock)
    this.waiting = new Map(
      requests
        .map((request) => [String(request.envelope.requestId), request] as const)
        .filter(([id]) => !answered.has(id))
    )
    const wanted = this.toWatch()
    if (wanted.length === 0 ? this.watched.size > 0 : wanted.some((id) => !this.watched.has(id))) {
      this.changed.openUnsafe()
    }
  }

  /** Watches what waits, for as long as the scope lives. */
  readonly follow = Effect.suspend(() => {
    this.changed.closeUnsafe()
    const wanted = this.toWatch()
    this.watched = new Set(wanted)
    if (wanted.length === 0) return this.changed.await
    const replaced = Effect.andThen(this.changed.await, Effect.suspend(() => this.whenBegun.await))
    return Effect.raceAllFirst([this.watching(wanted), replaced, this.idle])
  }).pipe(Effect.forever)

  /** Open once the current watch reports everything: only then is it replaced, so that each has its turn. */
  private whenBegun = Latch.makeUnsafe(false)

  private watching(ids: ReadonlyArray<string>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const begun = this.whenBegun = Latch.makeUnsafe(false)
      const keys = ids.flatMap((id) => [this.keys.request(id), this.keys.hasChunks(id)])
      return this.watch.notices({ keys }, { only: "puts" }).pipe(
        Stream.runForEach((notice) =>
          Effect.sync(() => {
            if (notice._tag === "Progress") return
            // What was stored before the watch began is read as well.
            begun.openUnsafe()
            this.work.openUnsafe()
          })
        ),
        Effect.ignore,
        Effect.andThen(begun.open),
        Effect.andThen(Effect.sleep(pauseMs))
      )
    })
  }

  /** Callers may leave without a word. While one waits, Effect asks at its poll interval. */
  private readonly idle: Effect.Effect<void> = Effect.suspend(() =>
    Effect.andThen(
      Effect.sleep(this.idleMs),
      Effect.suspend(() => {
        if (monotonicMsOf(this.clock) - this.askedMs < this.idleMs) return this.idle
        this.waiting = new Map()
        return Effect.void
      })
    )
  )

  private toWatch(): ReadonlyArray<string> {
    const ids: Array<string> = []
    let bytes = 0
    for (const id of this.waiting.keys()) {
      bytes += this.keys.request(id).length + this.keys.hasChunks(id).length
      if (ids.length === maxWatched || bytes > maxKeyBytes) break
      ids.push(id)
    }
    return ids
  }
}

/** Takes the place of the storage that it is given, and says when there are replies to read in it. */
export const layer = (
  name: ClusterName = {}
): Layer.Layer<
  MessageStorage.MessageStorage | ReplyWork,
  never,
  MessageStorage.MessageStorage | Watch | ShardingConfig.ShardingConfig
> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const storage = yield* MessageStorage.MessageStorage
      const { entityReplyPollInterval } = yield* ShardingConfig.ShardingConfig
      const pollMs = Duration.toMillis(Duration.fromInputUnsafe(entityReplyPollInterval))
      const replies = new ReplyWatch(
        new ClusterKeys(name),
        yield* Watch,
        yield* Clock.Clock,
        Math.max(minIdleMs, idlePolls * pollMs)
      )
      yield* Effect.forkScoped(replies.follow)
      const readingOnly = new WeakSet<object>()
      const watched = MessageStorage.MessageStorage.of({
        ...storage,
        saveRequest: (request) =>
          readingOnly.has(request)
            ? Effect.succeed(MessageStorage.SaveResult.Success())
            : storage.saveRequest(request),
        repliesFor: (requests) => {
          const asked = Array.from(requests)
          return Effect.tap(storage.repliesFor(asked), (found) =>
            Effect.sync(() =>
              replies.asked(
                asked as ReadonlyArray<unknown> as ReadonlyArray<Request>,
                new Set(found.map(({ requestId }) => String(requestId)))
              )
            ))
        }
      })
      return Context.make(MessageStorage.MessageStorage, watched).pipe(
        Context.add(
          ReplyWork,
          ReplyWork.of({
            next: replies.next,
            readsOnly: (request) => Effect.sync(() => readingOnly.add(request))
          })
        )
      )
    })
  )
