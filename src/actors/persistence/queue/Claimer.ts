/**
 * The consumer that all workers of one process at one queue share: it watches the queue, claims as many elements as
 * workers wait, all at once, and hands them out in order. It has a lease, and what it claims is its own for as long as
 * its `Presence` is there.
 */
import { Cause, Deferred, Effect, Latch, Stream } from "effect"
import type { Scope } from "effect"
import type { KeyValue, KeyValueEntry, WriteFailure } from "../../../client/KeyValue.ts"
import type { HeldLease, Leases } from "../../../client/Lease.ts"
import { Op } from "../../../client/Txn.ts"
import type { Watch } from "../../../client/Watch.ts"
import type { Changes } from "../../../client/WatchNotice.ts"
import { QueueCounts } from "../../ActorMetrics.ts"
import { randomUUID } from "node:crypto"
import type { StepList, StepWriter } from "../../StepWriter.ts"
import type { SettlingParts } from "./Claimed.ts"
import { Claimed, lastPatienceMs } from "./Claimed.ts"
import type { ClaimedRow } from "./Claims.ts"
import { Claims } from "./Claims.ts"
import type { Offered } from "./HandOvers.ts"
import { HandOvers } from "./HandOvers.ts"
import type { HandedRow, QueueKeys, QueueRow } from "./Layout.ts"
import { decodeQueueRow, encodeList } from "./Layout.ts"
import { maxFreeRows, Mirror } from "./Mirror.ts"
import { Orphans } from "./Orphans.ts"
import { Presence } from "./Presence.ts"
import { queueLayout, sameLayout, withoutOthers } from "./QueueLayout.ts"
import { pause, untilKnown } from "./Repeated.ts"
import { Workers } from "./Workers.ts"

export interface ClaimerParts {
  readonly kv: KeyValue["Service"]
  readonly steps: StepWriter
  readonly leases: Leases["Service"]
  readonly watch: Watch["Service"]
  readonly keys: QueueKeys
  /** How long claims outlive their process, in milliseconds. */
  readonly lockExpirationMs: number
  /** The cluster's time. */
  readonly now: Effect.Effect<number, unknown>
  /** A new place, whose element is due at that time. */
  readonly place: (ms: number) => string
}

/** Most claims under way: a burst of workers is served in several rounds. */
const maxClaims = 256

/** Rows of one page of the list. */
const pageRows = maxFreeRows / 2

/** What a claimer knows while it watches. */
interface Current {
  readonly presence: Presence
  readonly mirror: Mirror
}

export class Claimer {
  private readonly parts: ClaimerParts
  private readonly workers: Workers
  private readonly counts: QueueCounts
  private readonly wake = Latch.makeUnsafe(false)
  /** Places of the claims under way. */
  private readonly claiming = new Set<string>()
  private readonly isClaiming = (place: string): boolean => this.claiming.has(place)
  private readonly claims: Claims
  private readonly settling: SettlingParts
  private readonly orphans: Orphans
  private handOvers: HandOvers | undefined
  private current: Current | undefined
  private ending = false

  private constructor(parts: ClaimerParts, scope: Scope.Scope, workers: Workers, counts: QueueCounts) {
    this.parts = parts
    this.workers = workers
    this.counts = counts
    this.claims = new Claims({
      ...parts,
      mirror: () => this.current?.mirror,
      hand: (row, json, spent) => this.hand(row, json, spent)
    })
    this.orphans = new Orphans(parts)
    this.settling = {
      ...parts,
      now: untilKnown(parts.now),
      counts,
      scope,
      completions: completionsIn(parts.keys),
      changed: (row) => this.current?.mirror.put(row),
      removed: (place, revision) => this.current?.mirror.remove(place, revision)
    }
  }

  /** A claimer that lives as long as the scope. It begins at once, and goes on after failures. */
  static readonly make = Effect.fnUntraced(function*(parts: ClaimerParts) {
    const workers = yield* Workers.make(() => claimer.wake.openUnsafe())
    const counts = yield* QueueCounts.make(parts.keys.name)
    const claimer: Claimer = new Claimer(parts, yield* Effect.scope, workers, counts)
    claimer.handOvers = yield* HandOvers.make({
      ...parts,
      claims: claimer.claims,
      ended: (row, held) => {
        if (row === undefined) workers.release(held)
        else {
          counts.claimed()
          workers.hand(claimer.handed(row), held)
        }
        claimer.wake.openUnsafe()
      }
    })
    yield* Effect.forkScoped(claimer.run)
    yield* Effect.addFinalizer(() => claimer.end)
    return claimer
  })

  /** Gives back what no worker got, while the lease still lives: also what is being claimed. */
  private readonly end: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    this.ending = true
    while (this.claiming.size + this.handingOver > 0) {
      this.wake.closeUnsafe()
      yield* this.wake.await
    }
  }).pipe(
    Effect.interruptible,
    Effect.timeoutOption(lastPatienceMs),
    Effect.andThen(Effect.suspend(() => this.workers.giveBack))
  )

  /** Waits for an element. The caller has to settle it. */
  take(maxAttempts: number): Effect.Effect<Claimed> {
    return this.workers.take(maxAttempts)
  }

  /** Completes an element, and claims the next one meanwhile. */
  complete(claimed: Claimed, maxAttempts: number): Effect.Effect<void> {
    return this.workers.complete(claimed, maxAttempts)
  }

  private readonly run: Effect.Effect<never> = Effect.suspend(() =>
    Effect.scoped(
      Effect.flatMap(
        this.parts.leases.scoped(this.parts.lockExpirationMs),
        (lease) => Effect.raceFirst(this.present(lease), lease.lost)
      )
    )
  ).pipe(
    Effect.tapCause(this.warn("its lease is lost")),
    Effect.ignoreCause,
    // Others may have them by now, and then this changes nothing.
    Effect.andThen(Effect.suspend(() => this.workers.giveBack)),
    Effect.andThen(pause),
    Effect.forever
  )

  private warn(what: string) {
    return (cause: Cause.Cause<unknown>): Effect.Effect<void> =>
      Cause.hasInterruptsOnly(cause)
        ? Effect.void
        : Effect.logWarning(`consuming the queue ${this.parts.keys.name} begins again: ${what}`, cause)
  }

  /** Says that this claimer is there, and claims for as long as it is. */
  private present(lease: HeldLease) {
    return Effect.scoped(Effect.gen({ self: this }, function*() {
      const presence = yield* Presence.announce(this.parts.kv, this.parts.keys, lease)
      // Claims live as long as their presence. What a handler has claimed, and what is being claimed, stays so when the
      // watch fails.
      const scope = yield* Effect.scope
      const observe = Effect.suspend(() => this.observe(presence, scope)).pipe(
        Effect.tapCause(this.warn("it is listed again")),
        Effect.ignoreCause,
        Effect.andThen(pause),
        Effect.andThen(withoutOthers(this.parts.kv, this.parts.keys)),
        Effect.forever
      )
      return yield* Effect.raceFirst(observe, Deferred.await(presence.gone))
    }))
  }

  /** Claims by what a list and a watch show. */
  private readonly observe = Effect.fnUntraced({ self: this }, function*(
    this: Claimer,
    presence: Presence,
    scope: Scope.Scope
  ) {
    const mirror = new Mirror()
    const from = yield* this.list(mirror)
    this.current = { presence, mirror }
    this.orphans.look()
    const work = [this.follow(mirror, from), this.claimAll(presence, mirror, scope), this.orphans.move(mirror)]
    return yield* Effect.raceAllFirst(work).pipe(
      Effect.ensuring(Effect.sync(() => this.current = undefined))
    )
  })

  /** Reads the first rows and who is there; gives the revision from which on changes have to be watched. */
  private readonly list = Effect.fnUntraced({ self: this }, function*(this: Claimer, mirror: Mirror) {
    const { keys, kv } = this.parts
    const rows = yield* kv.scan(keys.rows, { limit: pageRows })
    // The owner of a claim in these rows was there before them.
    yield* Stream.runForEach(
      kv.scanAll(keys.claimers),
      (entry) =>
        Effect.map(
          sameLayout(keys, entry),
          () => mirror.claimerCame(entry.keyText.slice(keys.claimers.length))
        )
    )
    mirror.read(this.decoded(rows.entries), rows.cursor !== undefined)
    return rows.revision + 1
  })

  private decoded(entries: ReadonlyArray<KeyValueEntry>): ReadonlyArray<QueueRow> {
    const { rows } = this.parts.keys
    return entries.flatMap((entry) =>
      decodeQueueRow(entry.keyText.slice(rows.length), entry.value, entry.modRevision) ?? []
    )
  }

  private follow(mirror: Mirror, fromRevision: number) {
    return Stream.runForEach(
      this.parts.watch.notices({ prefix: this.parts.keys.watched }, { fromRevision }),
      (notice) =>
        Effect.suspend(() => {
          const other = notice._tag === "Changes" ? this.mirrorChanges(mirror, notice) : undefined
          if (notice._tag !== "Began") mirror.watchedTo(notice.revision)
          return other === undefined ? Effect.void : sameLayout(this.parts.keys, other)
        })
    )
  }

  /** Gives the key of a claimer that has another layout. */
  private mirrorChanges(mirror: Mirror, { events, revision }: Changes): KeyValueEntry | undefined {
    const { claimers, rows } = this.parts.keys
    let other: KeyValueEntry | undefined
    for (const event of events) {
      const key = event.keyText
      if (key.startsWith(claimers)) {
        const id = key.slice(claimers.length)
        if (event._tag === "Put") {
          mirror.claimerCame(id)
          if (event.entry.text !== queueLayout) other = event.entry
        } else {
          mirror.claimerWent(id)
          this.orphans.look()
        }
      } else if (key.startsWith(rows)) {
        const place = key.slice(rows.length)
        const row = event._tag === "Put" ? decodeQueueRow(place, event.entry.value, revision) : undefined
        if (row === undefined) mirror.remove(place, revision)
        else mirror.put(row)
      }
    }
    this.wake.openUnsafe()
    return other
  }

  /** Claims what there is for the workers that wait. */
  private readonly claimAll = Effect.fnUntraced({ self: this }, function*(
    this: Claimer,
    presence: Presence,
    mirror: Mirror,
    scope: Scope.Scope
  ) {
    const failed = Deferred.makeUnsafe<never, WriteFailure>()
    const claim = (row: QueueRow) => {
      this.claiming.add(row.place)
      return this.claims.claim(presence, row, this.workers.maxAttempts).pipe(
        Effect.catch((error) => Effect.sync(() => Deferred.doneUnsafe(failed, Effect.fail(error)))),
        Effect.ensuring(Effect.sync(() => {
          this.claiming.delete(row.place)
          this.wake.openUnsafe()
        }))
      )
    }
    const rounds = Effect.gen({ self: this }, function*() {
      for (;;) {
        this.wake.closeUnsafe()
        for (let from = mirror.readFrom(); from !== undefined; from = mirror.readFrom()) {
          yield* this.readOn(mirror, from)
        }
        const wanted = Math.min(this.demand, maxClaims - this.claiming.size)
        let waitMs = Infinity
        if (wanted > 0) {
          const nowMs = yield* this.parts.now
          const { nextMs, rows } = mirror.due(presence.id, nowMs, wanted, this.isClaiming)
          // Begun within one turn, they are one call.
          for (const row of rows) yield* Effect.forkIn(claim(row), scope)
          if (nextMs !== undefined) waitMs = Math.max(1, nextMs - nowMs)
        }
        yield* waitMs === Infinity ? this.wake.await : Effect.raceFirst(this.wake.await, Effect.sleep(waitMs))
      }
    })
    return yield* Effect.raceFirst(rounds, Deferred.await(failed))
  })

  /** Reads more rows of a long queue, of which few are free. */
  private readonly readOn = Effect.fnUntraced({ self: this }, function*(
    this: Claimer,
    mirror: Mirror,
    readFrom: string
  ) {
    const { keys, kv } = this.parts
    const page = yield* kv.scan(keys.rows, { limit: pageRows, cursor: keys.row(readFrom) })
    mirror.read(this.decoded(page.entries), page.cursor !== undefined)
  })

  /** Offers under way that claim their element. */
  private get handingOver(): number {
    return this.handOvers?.size ?? 0
  }

  /** Elements to claim beside those that are being claimed. */
  private get demand(): number {
    return this.ending ? 0 : this.workers.demand - this.claiming.size - this.handingOver
  }

  /** Tells of an element that this process has offered, before the watch does. */
  offered(row: QueueRow): void {
    this.current?.mirror.put(row)
    this.wake.openUnsafe()
  }

  /**
   * Offers an element and claims it with the same step, when a worker of this process is next for it. `undefined` when
   * none is. It gives `false` when the claimer is gone or the id is taken: offering without a claim says which.
   */
  handOver(element: Offered, nowMs: number, fiber: number): Effect.Effect<boolean, WriteFailure> | undefined {
    const { current } = this
    if (current === undefined || this.demand <= 0) return undefined
    const { mirror, presence } = current
    if (!mirror.isWhole || mirror.hasDue(nowMs, this.isClaiming)) return undefined
    return this.handOvers?.offer(presence, element, this.workers.hold(fiber))
  }

  private claimed(row: ClaimedRow, json: Uint8Array): Claimed {
    this.current?.mirror.put(row)
    return new Claimed(row, json, false, this.settling)
  }

  /** One that its offer has claimed. No mirror shows it. */
  private handed({ claim, id, json, place, revision }: HandedRow): Claimed {
    const row = { place, id, attempts: 1, delayed: false, claim, copy: undefined, revision }
    return new Claimed(row, json, true, this.settling)
  }

  /** Gives an element that was claimed to a worker. */
  private hand(row: ClaimedRow, json: Uint8Array | undefined, spent: boolean): Effect.Effect<void> {
    this.counts.claimed()
    const claimed = this.claimed(row, json ?? new Uint8Array(0))
    if (json === undefined) return claimed.fail("the element is gone, or was not written by a queue")
    if (spent) return claimed.fail("the process of its last attempt ended before the attempt did")
    this.workers.hand(claimed)
    return Effect.void
  }
}

/** Lists of what this process completes. No two have the same key. */
const completionsIn = (keys: QueueKeys): StepList => {
  const by = randomUUID()
  let count = 0
  return {
    put: (listed) => {
      // None of them is forgotten before its time.
      const ms = listed.reduce((most, one) => Math.max(most, one.ms), 0)
      return Op.put(keys.completedList(`${by}-${++count}`, ms), encodeList(listed.map(({ text }) => text)))
    }
  }
}
