/**
 * The state of an entity, kept in FlareDB. Inside a handler whose RPC is in a transaction ({@link atomic}) a change of
 * the state, the handler's reply and the messages it sends are one entry of the log: all of it is stored, or nothing.
 * So a request changes the state exactly once, however often its handler was run.
 *
 * **What it does not protect.** What a handler does elsewhere, a mail or a card payment, may be done twice: hand the
 * request's id on, and let the other side know it again.
 *
 * **Details.** The state is read when it is first used, and kept in memory with its revision from then on. A commit
 * compares the revision, and the lock of the entity's shard. When either does not hold, nothing is stored, the handler
 * dies of a `TransactionConflict`, and Effect runs it again on what is stored now. Passivation and a move to another
 * runner lose nothing.
 *
 * @see Effect's `ClusterSchema.WithTransaction`; Ongaro, *Consensus*, §6.3, for requests that take effect once.
 */
import { Effect, Option, Schema, Semaphore } from "effect"
import type { Scope } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import type { Rpc } from "effect/rpc"
import { Compare, Op } from "../../client/Txn.ts"
import { ShardLockLost } from "../cluster/Failures.ts"
import type { TransactionBuffer, TransactionRow } from "../cluster/StorageTransaction.ts"
import { NoTransaction, openTransaction } from "../cluster/StorageTransaction.ts"
import { DurableStateError, StateTooLarge, StateUndecodable } from "./DurableStateError.ts"
import { EntityStates } from "./EntityStates.ts"
import type { Turn } from "./Turn.ts"

/** Most bytes of a state as JSON, with its format: those of a value of the store. */
export const maxStateBytes = 1024 * 1024

/** The format of a state as it is stored. */
const format = 1

/**
 * A value that an entity keeps. The operations are those of Effect's `Ref`. Those that change it need a transaction,
 * and fail with `NoTransaction` as their reason when there is none. Every value is a copy: changing one changes no
 * state.
 */
export interface DurableState<in out A> {
  /** Where it is kept, as JSON. */
  readonly key: string
  /** In a transaction: as the transaction has it. Otherwise as it is stored, which asks the cluster. */
  readonly get: Effect.Effect<A, DurableStateError>
  readonly set: (value: A) => Effect.Effect<void, DurableStateError>
  readonly update: (change: (value: A) => A) => Effect.Effect<void, DurableStateError>
  readonly updateAndGet: (change: (value: A) => A) => Effect.Effect<A, DurableStateError>
  /** Changes it, and answers with something else. */
  readonly modify: <B>(change: (value: A) => readonly [answer: B, value: A]) => Effect.Effect<B, DurableStateError>
  /** Deletes what is stored. From then on it has its initial value. */
  readonly remove: Effect.Effect<void, DurableStateError>
}

/** What the state of an entity is, and where it is kept. */
export interface DurableStateOptions<A, I, RD, RE> {
  /** Of the value, at most {@link maxStateBytes} as JSON. It has to accept what older versions of it stored. */
  readonly schema: Schema.Codec<A, I, RD, RE>
  /** The value of an entity that stored none. It is not stored before it is changed. */
  readonly initial: NoInfer<A>
  /** Tells several states of an entity apart. Default `state`. */
  readonly name?: string | undefined
}

/** A state as JSON, and the revision it was stored with; 0 when it is not stored. */
interface Known {
  readonly json: string
  readonly revision: number
}

/** As a transaction has it. */
interface Pending extends TransactionRow {
  readonly json: string
  /** Whether the row is deleted. */
  readonly removes?: boolean
}

interface Parts<A> {
  readonly key: string
  readonly states: EntityStates["Service"]
  readonly address: Entity.CurrentAddress["Service"]
  readonly turn: Turn
  readonly initial: string
  readonly decode: (json: string) => Effect.Effect<A, Schema.SchemaError>
  readonly encode: (value: A) => Effect.Effect<string, Schema.SchemaError>
}

const encoder = new TextEncoder()

class State<A> implements DurableState<A> {
  readonly key: string
  private readonly parts: Parts<A>
  /** As it was stored last, as far as is known here. */
  private known: Known | undefined
  /** Transactions that this state is used in. */
  private readonly users = new WeakSet<TransactionBuffer>()
  /** A handler may use it in several fibers. */
  private readonly inOrder = Semaphore.makeUnsafe(1)

  constructor(parts: Parts<A>) {
    this.key = parts.key
    this.parts = parts
  }

  get get(): Effect.Effect<A, DurableStateError> {
    return this.using(({ json }) => this.decoded(json), Effect.flatMap(this.load, ({ json }) => this.decoded(json)))
  }

  set(value: A): Effect.Effect<void, DurableStateError> {
    return this.modify(() => [undefined, value])
  }

  update(change: (value: A) => A): Effect.Effect<void, DurableStateError> {
    return this.modify((value) => [undefined, change(value)])
  }

  updateAndGet(change: (value: A) => A): Effect.Effect<A, DurableStateError> {
    return Effect.andThen(this.update(change), Effect.suspend(() => this.get))
  }

  modify<B>(change: (value: A) => readonly [answer: B, value: A]): Effect.Effect<B, DurableStateError> {
    return this.changing((pending) =>
      Effect.flatMap(this.decoded(pending.json), (value) => {
        const [answer, changed] = change(value)
        return Effect.map(this.encoded(changed), (json) => [answer, { operation: Op.put(this.key, json), json }])
      })
    )
  }

  get remove(): Effect.Effect<void, DurableStateError> {
    return this.changing(() =>
      Effect.succeed([undefined, { operation: Op.delete(this.key), json: this.parts.initial, removes: true }])
    )
  }

  private changing<B>(
    change: (pending: Pending) => Effect.Effect<readonly [B, Omit<Pending, "conditions">], DurableStateError>
  ): Effect.Effect<B, DurableStateError> {
    const none = Effect.fail(this.failure(new NoTransaction()))
    return this.using((pending, open) =>
      Effect.flatMap(change(pending), ([answer, changed]) => {
        if (!open.isOpen) return none
        open.rows.set(this.key, { conditions: pending.conditions, ...changed })
        return Effect.succeed(answer)
      }), none)
  }

  /**
   * Uses the state as the open transaction has it. No other transaction of the entity uses it until this one ends, and
   * no other fiber of this one until `use` has. `outside` takes its place when no transaction is open.
   */
  private using<B>(
    use: (pending: Pending, open: TransactionBuffer) => Effect.Effect<B, DurableStateError>,
    outside: Effect.Effect<B, DurableStateError>
  ): Effect.Effect<B, DurableStateError> {
    return Effect.flatMap(openTransaction, (open) => {
      if (open === undefined) return outside
      const pending = Effect.suspend(() => this.pending(open))
      const inside = this.inOrder.withPermit(Effect.flatMap(pending, (pending) => use(pending, open)))
      return Effect.andThen(this.parts.turn.enter(open), Effect.suspend(() => open.isOpen ? inside : outside))
    })
  }

  private pending(open: TransactionBuffer): Effect.Effect<Pending, DurableStateError> {
    if (!this.users.has(open)) open.onEnd.push((revision) => Effect.sync(() => this.ended(open, revision)))
    this.users.add(open)
    const pending = open.rows.get(this.key) as Pending | undefined
    if (pending?.operation !== undefined) return Effect.succeed(pending)
    return Effect.zipWith(
      this.fence,
      this.known === undefined ? this.load : Effect.succeed(this.known),
      (fence, known) => this.unchanged(open, known, fence)
    )
  }

  /** The state as it is stored, which has to hold until the transaction is committed. */
  private unchanged(open: TransactionBuffer, known: Known, fence: ReadonlyArray<Compare>): Pending {
    const condition = known.revision === 0
      ? Compare.missing(this.key)
      : Compare.modRevision(this.key).equals(known.revision)
    const row: Pending = { conditions: [condition, ...fence], operation: undefined, json: known.json }
    if (open.isOpen) {
      this.known = known
      open.rows.set(this.key, row)
    }
    return row
  }

  private ended(open: TransactionBuffer, revision: number | undefined): void {
    const pending = open.rows.get(this.key) as Pending | undefined
    if (revision === undefined) this.known = undefined
    else if (pending?.operation !== undefined) {
      this.known = { json: pending.json, revision: pending.removes === true ? 0 : revision }
    }
  }

  private get fence(): Effect.Effect<ReadonlyArray<Compare>, DurableStateError> {
    return Effect.suspend(() => {
      const { address, states } = this.parts
      const fence = states.shards.fence(states.keys, address.shardId.toString())
      return fence instanceof ShardLockLost ? Effect.fail(this.failure(fence)) : Effect.succeed(fence)
    })
  }

  private get load(): Effect.Effect<Known, DurableStateError> {
    const { initial, states } = this.parts
    return Effect.mapBoth(states.kv.get(this.key), {
      onSuccess: Option.match({
        onNone: () => ({ json: initial, revision: 0 }),
        onSome: ({ modRevision, text }) => ({ json: text, revision: modRevision })
      }),
      onFailure: (reason) => this.failure(reason)
    })
  }

  private decoded(json: string): Effect.Effect<A, DurableStateError> {
    return Effect.mapError(this.parts.decode(json), (cause) => this.failure(new StateUndecodable({ cause })))
  }

  private encoded(value: A): Effect.Effect<string, DurableStateError> {
    return Effect.flatMap(
      Effect.mapError(this.parts.encode(value), (cause) => this.failure(new StateUndecodable({ cause }))),
      (json) => {
        // A character takes three bytes at most.
        const bytes = json.length * 3 <= maxStateBytes ? 0 : encoder.encode(json).byteLength
        return bytes > maxStateBytes
          ? Effect.fail(this.failure(new StateTooLarge({ bytes, maxBytes: maxStateBytes })))
          : Effect.succeed(json)
      }
    )
  }

  private failure(reason: DurableStateError["reason"]): DurableStateError {
    const { address: { entityId, entityType }, key } = this.parts
    return new DurableStateError({ entityType, entityId, key, reason })
  }
}

/** The state of the entity that is being made: for the effect from which `Entity.toLayer` gets its handlers. */
export const make = Effect.fnUntraced(function*<A, I, RD, RE>(
  { initial, name = "state", schema }: DurableStateOptions<A, I, RD, RE>
): Effect.fn.Return<DurableState<A>, never, EntityStates | Entity.CurrentAddress | Scope.Scope | RD | RE> {
  const states = yield* EntityStates
  const address = yield* Entity.CurrentAddress
  const context = yield* Effect.context<RD | RE>()
  const stored = Schema.fromJsonString(
    Schema.Struct({ format: Schema.Literal(format), state: Schema.toCodecJson(schema) })
  )
  const encode = (state: A) => Effect.provideContext(Schema.encodeEffect(stored)({ format, state }), context)
  return new State<A>({
    key: states.keys.state(address.entityType, address.entityId, name),
    states,
    address,
    turn: yield* states.turnOf(address),
    // One that its schema refuses is a fault of the program.
    initial: yield* Effect.orDie(encode(initial)),
    decode: (text) =>
      Effect.map(Effect.provideContext(Schema.decodeEffect(stored)(text), context), ({ state }) => state),
    encode
  })
})

/**
 * An RPC that is stored, and whose handler is a transaction: what it stores, its reply and the messages that it sends
 * with `discard` are one entry of the log. Give it a `primaryKey`: who sends it again then gets the first reply.
 */
export const atomic = <R extends Rpc.Any>(rpc: R): R =>
  // Every RPC can be annotated, and its type does not depend on that.
  (rpc as unknown as Rpc.Rpc<string>)
    .annotate(ClusterSchema.Persisted, true)
    .annotate(ClusterSchema.WithTransaction, true) as unknown as R
