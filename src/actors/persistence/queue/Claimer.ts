/**
 * The consumer that all workers of one process at one queue share: it watches the queue, claims as many elements as
 * workers wait, all at once, and hands them out in order.
 *
 * It has a lease, and a key on that lease that says it is there. A claim names that key, so that one keep-alive holds
 * the claims of all workers, for as long as their handlers run; when the process is gone, so is the key, and everything
 * it had claimed is free for others, who watch the key.
 */
import { Cause, Data, Deferred, Effect, Latch, Option, Schedule, Stream } from "effect"
import type { Scope } from "effect"
import { randomUUID } from "node:crypto"
import type { KeyValue, KeyValueEntry, WriteFailure } from "../../../client/KeyValue.ts"
import type { HeldLease, Leases } from "../../../client/Lease.ts"
import { Compare, Op } from "../../../client/Txn.ts"
import type { Changes, Watch } from "../../../client/Watch.ts"
import { Indeterminate } from "../../../FlareDbError.ts"
import { queueClaimed } from "../../ActorMetrics.ts"
import { outcomeOf } from "../../Outcome.ts"
import { Claimed, lastPatienceMs } from "./Claimed.ts"
import type { Claim, QueueKeys, QueueRow } from "./Layout.ts"
import { decodeElement, decodeQueueRow, encodeQueueRow } from "./Layout.ts"
import { maxRows, Mirror } from "./Mirror.ts"
import type { StepWriter } from "../../StepWriter.ts"
import { Sharing, stepOf } from "../../StepWriter.ts"
import type { Returning } from "./Workers.ts"
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
  /** A new place, from which its element may be taken at that moment. */
  readonly place: (ms: number) => string
}

/** Pause before something that failed is tried again, in milliseconds. */
const retryMs = 200

/** Times that an offer is repeated whose answer was lost. */
export const offerRetries = 3

/** Most claims under way: a burst of workers is served in several rounds. */
const maxClaims = 256

/** Rows of one page of the list. */
const pageRows = maxRows / 2

/** What a claimer is for as long as its lease lives. */
interface Presence {
  readonly id: string
  readonly key: string
  /** The revision that created its key: while that is so, its claims are its own. */
  readonly revision: number
  /** Fails when its key is gone. */
  readonly gone: Deferred.Deferred<never, PresenceLost>
}

/** What a claimer knows while it watches. */
interface Current {
  readonly presence: Presence
  readonly mirror: Mirror
}

/** An element that this process offers. */
export interface Offered {
  readonly place: string
  readonly id: string
  readonly json: string
  /** As it is stored. */
  readonly value: Uint8Array
  readonly sharing: Sharing
}

/** The claimer's key is gone, and its claims are free. */
class PresenceLost extends Data.TaggedError("PresenceLost")<{ readonly message: string }> {}

export class Claimer {
  private readonly parts: ClaimerParts
  private readonly scope: Scope.Scope
  private readonly workers: Workers
  private readonly wake = Latch.makeUnsafe(false)
  /** Places of the claims under way. */
  private readonly claiming = new Set<string>()
  /** Offers under way that claim their element. */
  private handOvers = 0
  private readonly sharing = new Sharing()
  private current: Current | undefined
  private claims = 0
  private ending = false

  private constructor(parts: ClaimerParts, scope: Scope.Scope, workers: Workers) {
    this.parts = parts
    this.scope = scope
    this.workers = workers
  }

  /** A claimer that lives as long as the scope. It begins at once, and goes on after failures. */
  static readonly make = Effect.fnUntraced(function*(parts: ClaimerParts) {
    const workers = yield* Workers.make(() => claimer.wake.openUnsafe())
    const claimer: Claimer = new Claimer(parts, yield* Effect.scope, workers)
    yield* Effect.forkScoped(claimer.run)
    yield* Effect.addFinalizer(() => claimer.end)
    return claimer
  })

  /** Gives back what nobody got, while the lease still lives: also what is being claimed. */
  private readonly end: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    this.ending = true
    while (this.claiming.size + this.handOvers > 0) {
      this.wake.closeUnsafe()
      yield* this.wake.await
    }
  }).pipe(
    Effect.interruptible,
    Effect.timeoutOption(lastPatienceMs),
    Effect.andThen(Effect.suspend(() => this.workers.giveBack))
  )

  /** Waits for an element. Whoever gets it has to settle it. */
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
  private readonly present = Effect.fnUntraced({ self: this }, function*(this: Claimer, lease: HeldLease) {
    const id = randomUUID()
    const key = this.parts.keys.claimer(id)
    const revision = yield* this.announce(key, lease)
    const presence: Presence = { id, key, revision, gone: Deferred.makeUnsafe() }
    // What a handler has claimed stays claimed when the watch fails.
    const observe = Effect.suspend(() => this.observe(presence)).pipe(
      Effect.tapCause(this.warn("it is listed anew")),
      Effect.ignoreCause,
      Effect.andThen(pause),
      Effect.forever
    )
    return yield* Effect.raceFirst(observe, Deferred.await(presence.gone))
  })

  /** Claims by what a list and a watch tell. */
  private readonly observe = Effect.fnUntraced({ self: this }, function*(this: Claimer, presence: Presence) {
    const mirror = new Mirror()
    const from = yield* this.list(mirror)
    this.current = { presence, mirror }
    return yield* Effect.raceFirst(this.follow(mirror, from), this.claimAll(presence, mirror)).pipe(
      Effect.ensuring(Effect.sync(() => this.current = undefined))
    )
  })

  /** The key is this claimer's alone, so that whatever became of an attempt, another one does no harm. */
  private announce(key: string, lease: HeldLease): Effect.Effect<number, WriteFailure> {
    const put = this.parts.kv.transact({
      if: [Compare.missing(key)],
      do: [Op.put(key, "", { lease: lease.id })],
      else: [Op.get(key)]
    })
    return Effect.flatMap(repeated(put), (txn) => {
      if (txn.succeeded) return Effect.succeed(txn.revision)
      const [found] = txn.results
      return Option.isSome(found)
        ? Effect.succeed(found.value.createRevision)
        : Effect.die(new Error("a key is neither missing nor there"))
    })
  }

  /** Reads the first rows and who is there; gives the revision from which on changes have to be watched. */
  private readonly list = Effect.fnUntraced({ self: this }, function*(this: Claimer, mirror: Mirror) {
    const { keys, kv } = this.parts
    const rows = yield* kv.scan(keys.rows, { limit: pageRows })
    // Whoever has a claim in these rows was there before them.
    yield* Stream.runForEach(
      kv.scanAll(keys.claimers, { keysOnly: true }),
      ({ keyText }) => Effect.sync(() => mirror.claimers.add(keyText.slice(keys.claimers.length)))
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
        Effect.sync(() => {
          if (notice._tag === "Changes") this.told(mirror, notice)
          if (notice._tag !== "Began") mirror.watchedTo(notice.revision)
        })
    )
  }

  private told(mirror: Mirror, { events, revision }: Changes): void {
    const { claimers, rows } = this.parts.keys
    for (const event of events) {
      const key = event.keyText
      if (key.startsWith(claimers)) {
        const id = key.slice(claimers.length)
        if (event._tag === "Put") mirror.claimers.add(id)
        else mirror.claimers.delete(id)
      } else if (key.startsWith(rows)) {
        const place = key.slice(rows.length)
        const row = event._tag === "Put" ? decodeQueueRow(place, event.entry.value, revision) : undefined
        if (row === undefined) mirror.remove(place, revision)
        else mirror.put(row)
      }
    }
    this.wake.openUnsafe()
  }

  /** Claims what there is for the workers that wait. */
  private readonly claimAll = Effect.fnUntraced({ self: this }, function*(
    this: Claimer,
    presence: Presence,
    mirror: Mirror
  ) {
    const failed = Deferred.makeUnsafe<never, unknown>()
    const claim = (row: QueueRow) => {
      this.claiming.add(row.place)
      return this.claim(presence, mirror, row).pipe(
        Effect.catch((error) => Effect.sync(() => Deferred.doneUnsafe(failed, Effect.fail(error)))),
        Effect.ensuring(Effect.sync(() => {
          this.claiming.delete(row.place)
          this.wake.openUnsafe()
        }))
      )
    }
    const rounds = Effect.scoped(Effect.gen({ self: this }, function*() {
      const claims = yield* Effect.scope
      for (;;) {
        this.wake.closeUnsafe()
        yield* this.readOn(mirror)
        const wanted = Math.min(this.demand, maxClaims - this.claiming.size)
        let waitMs = Infinity
        if (wanted > 0) {
          const nowMs = yield* this.parts.now
          const { nextMs, rows } = mirror.due(presence.id, nowMs, wanted, (place) => this.claiming.has(place))
          // Begun within one turn, they are one call.
          for (const row of rows) yield* Effect.forkIn(claim(row), claims)
          if (nextMs !== undefined) waitMs = Math.max(1, nextMs - nowMs)
        }
        yield* waitMs === Infinity ? this.wake.await : Effect.raceFirst(this.wake.await, Effect.sleep(waitMs))
      }
    }))
    return yield* Effect.raceFirst(rounds, Deferred.await(failed))
  })

  /** Reads more rows of a long queue when few are left. */
  private readonly readOn = Effect.fnUntraced({ self: this }, function*(this: Claimer, mirror: Mirror) {
    const { keys, kv } = this.parts
    const readFrom = mirror.readFrom()
    if (readFrom === undefined) return
    const page = yield* kv.scan(keys.rows, { limit: pageRows, cursor: keys.row(readFrom) })
    mirror.read(this.decoded(page.entries), page.cursor !== undefined)
  })

  /** Claims one element, and gives it to a worker. Another consumer may be faster. */
  private readonly claim = Effect.fnUntraced({ self: this }, function*(
    this: Claimer,
    presence: Presence,
    mirror: Mirror,
    row: QueueRow
  ) {
    const { keys, kv, steps } = this.parts
    const claim = this.claimOf(presence)
    const spent = row.attempts >= this.workers.maxAttempts
    const next = { ...row, attempts: row.attempts + (spent ? 0 : 1), claim, copy: undefined }
    const key = keys.row(row.place)
    const element = keys.element(row.id)
    const conditions = [
      Compare.modRevision(key).equals(row.revision),
      holds(presence),
      ...(row.claim === undefined ? [] : [Compare.missing(keys.claimer(row.claim.claimer))])
    ]
    const put = Op.put(key, encodeQueueRow(next))
    const hand = (revision: number, json: Uint8Array | undefined) =>
      Effect.andThen(queueClaimed(keys.name), this.hand({ ...next, revision }, json, spent))
    if (row.copy === undefined) {
      const attempt = yield* repeated(kv.transact({ if: conditions, do: [put, Op.get(element)] })).pipe(
        // The element is too large for an answer that is kept. The row says what became of it.
        Effect.catchTag("ResultsNotKept", () => Effect.undefined)
      )
      if (attempt?.succeeded === true) return yield* hand(attempt.revision, jsonOf(attempt.results[1]))
    } else {
      const attempt = yield* repeated(steps.take(stepOf(conditions, [put], this.sharing)))
      if (attempt.succeeded) return yield* hand(attempt.revision, encoder.encode(row.copy))
    }
    const { found, revision } = yield* this.look(presence, row.place)
    if (found === "claimer gone") return
    if (found === undefined) mirror.remove(row.place, revision)
    // An earlier attempt, whose answer was lost, took effect.
    else if (found.claim?.token === claim.token) {
      const answer = yield* kv.get(element, { consistency: "linearizable" })
      yield* hand(found.revision, jsonOf(answer))
    } else if (found.revision !== row.revision) mirror.put(found)
    // Whoever claimed it is there, which the watch has yet to tell.
    else if (row.claim !== undefined && revision > mirror.watchedRevision) mirror.claimers.add(row.claim.claimer)
  })

  /** Reads a row, and whether this claimer is still there. */
  private readonly look = Effect.fnUntraced({ self: this }, function*(
    this: Claimer,
    presence: Presence,
    place: string
  ) {
    const { results: [row, own], revision } = read(
      yield* this.parts.kv.transact(
        { do: [Op.get(this.parts.keys.row(place)), Op.get(presence.key)] },
        { consistency: "linearizable" }
      )
    )
    if (Option.isNone(own)) {
      Deferred.doneUnsafe(presence.gone, Effect.fail(new PresenceLost({ message: `${presence.key} is gone` })))
      return { revision, found: "claimer gone" as const }
    }
    const found = Option.isNone(row) ? undefined : decodeQueueRow(place, row.value.value, row.value.modRevision)
    return { revision, found }
  })

  private claimOf(presence: Presence): Claim {
    return { claimer: presence.id, token: `${presence.id}/${++this.claims}` }
  }

  /** Elements to claim beside those that are being claimed. */
  private get demand(): number {
    return this.ending ? 0 : this.workers.demand - this.claiming.size - this.handOvers
  }

  /** Tells of an element that this process has offered, before the watch does. */
  offered(row: QueueRow): void {
    this.current?.mirror.put(row)
    this.wake.openUnsafe()
  }

  /**
   * Offers an element and claims it with the same transaction, when a worker of this process is next for it.
   * `undefined` when none is. It gives `false` when the claimer is gone or the id is taken: offering without a claim
   * says which.
   */
  handOver(element: Offered, nowMs: number, fiber: number): Effect.Effect<boolean, WriteFailure> | undefined {
    const { current } = this
    if (current === undefined || this.demand <= 0) return undefined
    const { mirror, presence } = current
    if (!mirror.isWhole || mirror.due(presence.id, nowMs, 1, (place) => this.claiming.has(place)).rows.length > 0) {
      return undefined
    }
    this.handOvers++
    const held = this.workers.hold(fiber)
    const told = Deferred.makeUnsafe<boolean, WriteFailure>()
    // Whoever offers may be interrupted: the element is claimed nevertheless.
    return Effect.andThen(
      Effect.forkIn(
        Effect.onExit(this.handingOver(presence, element, told, held), () =>
          Effect.sync(() => {
            this.handOvers--
            this.wake.openUnsafe()
            Deferred.doneUnsafe(told, Effect.fail(new Indeterminate({ reason: "the store of the queue was closed" })))
          })),
        this.scope
      ),
      Deferred.await(told)
    )
  }

  private readonly handingOver = Effect.fnUntraced({ self: this }, function*(
    this: Claimer,
    presence: Presence,
    { id, json, place, sharing, value }: Offered,
    told: Deferred.Deferred<boolean, WriteFailure>,
    held: Returning | undefined
  ) {
    const { keys, steps } = this.parts
    const claim = this.claimOf(presence)
    const row = { place, id, attempts: 1, delayed: false, claim, copy: undefined }
    const element = keys.element(id)
    const offer = steps.take(stepOf(
      [Compare.missing(element), holds(presence)],
      [Op.put(element, value), Op.put(keys.row(place), encodeQueueRow(row))],
      sharing
    ))
    const attempt = Effect.flatMap(
      offer,
      (result): Effect.Effect<{ readonly revision: number } | undefined, WriteFailure> =>
        result.succeeded
          ? Effect.succeed(result)
          : Effect.map(this.look(presence, place), ({ found }) =>
            // An earlier attempt may have taken effect.
            typeof found === "object" && found.claim?.token === claim.token ? found : undefined)
    )
    let doubtful = false
    for (let failures = 0;;) {
      const result = yield* Effect.result(attempt)
      if (result._tag === "Success") {
        const claimed = result.success
        if (claimed === undefined) this.workers.letGo(held)
        else this.workers.hand(this.claimed({ ...row, revision: claimed.revision }, encoder.encode(json)), held)
        Deferred.doneUnsafe(told, Effect.succeed(claimed !== undefined))
        return yield* claimed === undefined ? Effect.void : queueClaimed(keys.name)
      }
      const outcome = outcomeOf(result.failure)
      doubtful ||= outcome === "unknown"
      // What may be claimed must become known. Whoever offered does not wait for it for ever.
      if (!doubtful || ++failures > offerRetries) Deferred.doneUnsafe(told, Effect.fail(result.failure))
      if (!doubtful || outcome === "refused") return this.workers.letGo(held)
      yield* pause
    }
  })

  private claimed(row: QueueRow & { readonly claim: Claim }, json: Uint8Array): Claimed {
    const { keys, now, place, steps } = this.parts
    this.current?.mirror.put(row)
    return new Claimed(row, json, {
      steps,
      keys,
      now,
      place,
      scope: this.scope,
      changed: (changed) => this.current?.mirror.put(changed),
      removed: (place, revision) => this.current?.mirror.remove(place, revision)
    })
  }

  /** Gives an element that was claimed to a worker. */
  private hand(
    row: QueueRow & { readonly claim: Claim },
    json: Uint8Array | undefined,
    spent: boolean
  ): Effect.Effect<void> {
    const claimed = this.claimed(row, json ?? new Uint8Array(0))
    if (json === undefined) return claimed.fail("the element is gone, or was not written by a queue")
    if (spent) return claimed.fail("the process of its last attempt ended before the attempt did")
    return Effect.sync(() => this.workers.hand(claimed))
  }
}

/** While this holds, the claims of a claimer are its own. */
const holds = ({ key, revision }: Presence): Compare => Compare.createRevision(key).equals(revision)

/** The answers of a transaction that only reads. */
const read = <Results>(
  txn: { readonly succeeded: true; readonly revision: number; readonly results: Results } | {
    readonly succeeded: false
    readonly revision: number
    readonly results: unknown
  }
): { readonly revision: number; readonly results: Results } => {
  if (!txn.succeeded) throw new Error("a transaction without conditions did not succeed")
  return txn
}

const encoder = new TextEncoder()

/** The element, if its key still holds it. */
const jsonOf = (element: Option.Option<KeyValueEntry>): Uint8Array | undefined => {
  const state = Option.isNone(element) ? undefined : decodeElement(element.value.value)
  return state?._tag === "Pending" ? state.json : undefined
}

const pause = Effect.sleep(retryMs)

/** Repeats a write that cannot take effect twice until it is known what became of it. */
const repeated = <A>(write: Effect.Effect<A, WriteFailure>): Effect.Effect<A, WriteFailure> =>
  Effect.retry(write, {
    schedule: Schedule.spaced(retryMs),
    while: (failure) => {
      const outcome = outcomeOf(failure)
      return outcome === "unknown" || outcome === "later"
    }
  })
