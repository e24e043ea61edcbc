/**
 * The state of an entity, kept in FlareDB. It reads like a `Ref` and is changed within the transaction of a handler:
 * the change, the reply and the messages that the handler sends with `discard` are one entry of the log.
 *
 * ```ts
 * const Account = Entity.make("Account", [
 *   DurableState.atomic(Rpc.make("Deposit", { payload: Deposit, success: Schema.Int }))
 * ])
 *
 * const AccountLive = Account.toLayer(Effect.gen(function*() {
 *   const balance = yield* DurableState.make({ name: "balance", schema: Schema.Int, initial: 0 })
 *   return Account.of({
 *     Deposit: ({ payload }) => Effect.orDie(balance.updateAndGet((cents) => cents + payload.cents))
 *   })
 * }))
 * ```
 *
 * The state is read when it is first asked for and then kept in memory with its revision. The commit compares that
 * revision: when another handler changed the state meanwhile, nothing is stored and the handler runs again. What a
 * handler does outside of FlareDB is not part of this, and is done again with it.
 *
 * @module
 */
import { Data, Effect, Schema, Semaphore } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import type { Rpc } from "effect/rpc"
import type { ReadFailure } from "../client/KeyValue.ts"
import { KeyValue } from "../client/KeyValue.ts"
import { Compare, Op } from "../client/Txn.ts"
import { ClusterKeys, CurrentCluster } from "./cluster/ClusterKeys.ts"
import type { TransactionBuffer } from "./cluster/StorageTransaction.ts"
import { NoTransaction, OpenTransaction } from "./cluster/StorageTransaction.ts"

/** Most bytes of an entity's state as JSON. */
export const maxStateBytes = 960 * 1024

/** Which state it is: what each error of it names. */
interface Named {
  readonly entityType: string
  readonly entityId: string
  /** The name that `make` was given. */
  readonly name: string
  /** Where it is in FlareDB. */
  readonly key: string
}

const what = ({ entityId, entityType, name }: Named) => `state "${name}" of ${entityType}/${entityId}`

/** What is stored does not fit the schema. Nothing was changed. */
export class StateNotDecodable extends Data.TaggedError("StateNotDecodable")<Named & { readonly reason: string }> {
  override get message() {
    return `${what(this)} is not what its schema says: ${this.reason}. Have the schema accept what older versions ` +
      `stored (a union, or optional fields), or remove the key ${this.key}`
  }
}

/** A new state does not fit the schema. It was not stored. */
export class StateNotEncodable extends Data.TaggedError("StateNotEncodable")<Named & { readonly reason: string }> {
  override get message() {
    return `${what(this)} is not changed: its schema refuses the new value: ${this.reason}`
  }
}

/** A new state has more than {@link maxStateBytes}. It was not stored. */
export class StateTooLarge
  extends Data.TaggedError("StateTooLarge")<Named & { readonly bytes: number; readonly limitBytes: number }>
{
  override get message() {
    return `${what(this)} is not changed: it would have ${this.bytes} bytes as JSON, at most ${this.limitBytes} are ` +
      "kept. Split it into several states or entities"
  }
}

/** Why a state cannot be read. */
export type StateReadError = StateNotDecodable | ReadFailure

/** Why a state cannot be changed. `NoTransaction`: the RPC is not {@link atomic}, or the layer is not FlareDB's. */
export type StateWriteError = StateReadError | StateNotEncodable | StateTooLarge | NoTransaction

/**
 * The state of one entity. Every value is a copy: changing what `get` returned, or what was set, changes nothing here.
 */
export interface DurableState<A> {
  /**
   * The state as this handler left it so far, or else as it is stored. In a transaction the commit depends on what was
   * read. Outside of one it is what this runner knows, which may be old when it lost the shard.
   */
  readonly get: Effect.Effect<A, StateReadError>
  /** Replaces the state. */
  readonly set: (value: A) => Effect.Effect<void, StateWriteError>
  /** Replaces the state by a function of it. */
  readonly update: (change: (value: A) => A) => Effect.Effect<void, StateWriteError>
  /** The same, and gives the new state. */
  readonly updateAndGet: (change: (value: A) => A) => Effect.Effect<A, StateWriteError>
  /** Replaces the state by the second of what the function gives, and returns the first. */
  readonly modify: <B>(change: (value: A) => readonly [B, A]) => Effect.Effect<B, StateWriteError>
  /** Removes the state: from then on it is the initial one. */
  readonly delete: Effect.Effect<void, StateWriteError>
}

export interface DurableStateOptions<A, I> {
  /** Tells the states of one entity apart. Default `state`. */
  readonly name?: string | undefined
  /** How the state is stored, as JSON. It must read what older versions of the program stored. */
  readonly schema: Schema.Codec<A, I>
  /** The state of an entity that has none. It is not stored before it is changed. */
  readonly initial: NoInfer<A>
}

/**
 * Makes an RPC persisted, and its handler a transaction. Give it a `primaryKey`, so that a request that is sent again is
 * answered by the first one's reply.
 */
export const atomic = <R extends Rpc.Any>(rpc: R): R =>
  // Every RPC can be annotated, and its type does not depend on that.
  (rpc as unknown as Rpc.Rpc<string>).annotate(ClusterSchema.Persisted, true).annotate(
    ClusterSchema.WithTransaction,
    true
  ) as unknown as R

/** A state as it is stored: its JSON, `undefined` for none, and the revision of its last change, 0 for none. */
interface Snapshot {
  readonly text: string | undefined
  readonly revision: number
}

/** The format of a stored state. */
const format = 1
const Stored = Schema.fromJsonString(Schema.Struct({ format: Schema.Literal(format), state: Schema.Unknown }))

const encoder = new TextEncoder()

class State<A, I> implements DurableState<A> {
  private readonly kv: KeyValue["Service"]
  private readonly named: Named
  private readonly codec: Schema.Codec<A, Schema.Json>
  private readonly initialText: string
  /** Of the handlers that change it at once, one at a time reads and stages. */
  private readonly turn = Semaphore.makeUnsafe(1)
  private snapshot: Snapshot | undefined
  /** The newest revision that was seen: an answer that comes late replaces no newer snapshot. */
  private newest = 0

  constructor(kv: KeyValue["Service"], named: Named, schema: Schema.Codec<A, I>, initialText: string) {
    this.kv = kv
    this.named = named
    this.codec = Schema.toCodecJson(schema) as Schema.Codec<A, Schema.Json>
    this.initialText = initialText
  }

  get get(): Effect.Effect<A, StateReadError> {
    return this.turn.withPermit(Effect.flatMap(this.current, (text) => this.decode(text)))
  }

  get delete(): Effect.Effect<void, StateWriteError> {
    return this.turn.withPermit(Effect.andThen(this.current, this.stage(undefined)))
  }

  set(value: A): Effect.Effect<void, StateWriteError> {
    return this.turn.withPermit(Effect.gen({ self: this }, function*() {
      const text = yield* encode(this.codec, this.named, value)
      yield* this.current
      yield* this.stage(text)
    }))
  }

  update(change: (value: A) => A): Effect.Effect<void, StateWriteError> {
    return this.modify((value) => [undefined, change(value)])
  }

  updateAndGet(change: (value: A) => A): Effect.Effect<A, StateWriteError> {
    return Effect.flatMap(this.update(change), () => this.get)
  }

  modify<B>(change: (value: A) => readonly [B, A]): Effect.Effect<B, StateWriteError> {
    return this.turn.withPermit(Effect.gen({ self: this }, function*() {
      const [result, next] = change(yield* this.decode(yield* this.current))
      yield* this.stage(yield* encode(this.codec, this.named, next))
      return result
    }))
  }

  /** What the open transaction has, or else what is stored; the transaction then depends on that. */
  private get current(): Effect.Effect<string | undefined, ReadFailure> {
    return Effect.gen({ self: this }, function*() {
      const open = yield* OpenTransaction
      const staged = open?.staged.get(this.named.key)
      if (staged !== undefined) return staged.text
      const stored = this.snapshot ?? (yield* this.load)
      if (open !== undefined) this.depend(open, stored)
      return stored.text
    })
  }

  private get load(): Effect.Effect<Snapshot, ReadFailure> {
    return Effect.map(this.kv.get(this.named.key), (found) => {
      const loaded: Snapshot = found._tag === "None"
        ? { text: undefined, revision: 0 }
        : { text: found.value.text, revision: found.value.modRevision }
      this.newest = Math.max(this.newest, loaded.revision)
      this.snapshot = loaded
      return loaded
    })
  }

  private stage(text: string | undefined): Effect.Effect<void, NoTransaction> {
    return Effect.flatMap(OpenTransaction, (open) => {
      const staged = open?.staged.get(this.named.key)
      if (open === undefined || staged === undefined) return Effect.fail(new NoTransaction())
      const { key } = this.named
      open.stage(key, {
        condition: staged.condition,
        operation: text === undefined ? Op.delete(key) : Op.put(key, text),
        text,
        ended: (revision) =>
          this.ended(
            revision === undefined ? undefined : { text, revision: text === undefined ? 0 : revision },
            revision
          )
      })
      return Effect.void
    })
  }

  private depend(open: TransactionBuffer, { revision, text }: Snapshot): void {
    open.stage(this.named.key, {
      condition: Compare.modRevision(this.named.key).equals(revision),
      text,
      // What was only read is still right after the commit.
      ended: (committed) => committed === undefined ? this.ended(undefined, undefined) : undefined
    })
  }

  private ended(snapshot: Snapshot | undefined, revision: number | undefined): void {
    if (revision !== undefined && revision < this.newest) return
    this.newest = revision ?? this.newest
    this.snapshot = snapshot
  }

  private decode(text = this.initialText): Effect.Effect<A, StateNotDecodable> {
    return Schema.decodeUnknownEffect(Stored)(text).pipe(
      Effect.flatMap(({ state }) => Schema.decodeUnknownEffect(this.codec)(state)),
      Effect.mapError((error) => new StateNotDecodable({ ...this.named, reason: String(error.message) }))
    )
  }
}

const encode = Effect.fnUntraced(function*<A>(
  codec: Schema.Codec<A, Schema.Json>,
  named: Named,
  value: A
): Effect.fn.Return<string, StateNotEncodable | StateTooLarge> {
  const state = yield* Effect.mapError(
    Schema.encodeUnknownEffect(codec)(value),
    (error) => new StateNotEncodable({ ...named, reason: String(error.message) })
  )
  const text = JSON.stringify({ format, state })
  const bytes = encoder.encode(text).byteLength
  if (bytes > maxStateBytes) return yield* new StateTooLarge({ ...named, bytes, limitBytes: maxStateBytes })
  return text
})

/**
 * A state of the entity that is being built: call it where the entity's handlers are made. It has the prefix and the
 * cluster of the layer from `Actors`. Fails when the schema refuses `initial`.
 */
export const make = Effect.fnUntraced(function*<A, I>(
  { initial, name = "state", schema }: DurableStateOptions<A, I>
): Effect.fn.Return<DurableState<A>, never, KeyValue | Entity.CurrentAddress> {
  const { entityId, entityType } = yield* Entity.CurrentAddress
  const kv = yield* KeyValue
  const key = new ClusterKeys(yield* CurrentCluster).state(entityType, entityId, name)
  const named = { entityType, entityId, name, key }
  // An initial state that is refused is a fault of the program.
  const text = yield* Effect.orDie(encode(Schema.toCodecJson(schema) as Schema.Codec<A, Schema.Json>, named, initial))
  return new State(kv, named, schema, text)
})
