/**
 * The identity of the cluster that this node belongs to (`protocol/ClusterIdentity.ts`), beside the state machine that
 * the node runs. {@link layer} wraps the machine: identity entries are applied here and reach no machine. A client's
 * command that looks like one is refused.
 */
import { Context, Deferred, Effect, Exit, Layer, Result } from "effect"
import type { ClusterIdentity } from "../protocol/ClusterIdentity.ts"
import {
  decodeIdentityEntry,
  decodeIdentityRow,
  encodeIdentityEntry,
  encodeIdentityRow,
  identityOfBytes,
  identityRowKey
} from "../protocol/ClusterIdentity.ts"
import { InvalidArgument } from "../FlareDbError.ts"
import { RandomBytes } from "../RandomBytes.ts"
import type { Entry } from "../raft/Types.ts"
import { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { corrupt } from "./KvLoader.ts"
import * as OwnLevel from "./OwnLevel.ts"
import { StateMachine } from "./StateMachine.ts"

/** Bytes of an identity. */
const identityBytes = 16

export class OwnIdentity extends Context.Service<OwnIdentity, {
  /** The identity; `undefined` until this node has applied it, from its log or in a snapshot. */
  readonly current: () => ClusterIdentity | undefined

  /** The identity, as soon as this node has applied it. */
  readonly known: Effect.Effect<ClusterIdentity>

  /** The command with which this node proposes an identity when it leads a cluster that has none. */
  readonly proposal: Uint8Array
}>()("flaredb/machine/OwnIdentity") {}

const noReply = new Uint8Array(0)

const isIdentityEntry = ({ kind, payload }: Entry): boolean =>
  kind === "command" && decodeIdentityEntry(payload) !== undefined

const reserved = new InvalidArgument({
  field: "command",
  problem: "is reserved: only a node may propose the identity of its cluster"
})

const make = Effect.gen(function*() {
  const store = yield* StateStore
  const machine = yield* StateMachine
  const proposal = encodeIdentityEntry(identityOfBytes((yield* RandomBytes)(identityBytes)))
  const known = yield* Deferred.make<ClusterIdentity>()
  let current: ClusterIdentity | undefined

  const learn = (identity: ClusterIdentity): void => {
    current = identity
    Deferred.doneUnsafe(known, Exit.succeed(identity))
  }

  /** Reads the identity that the applied state holds, if it holds one. */
  const load: Effect.Effect<void, StorageError> = Effect.flatMap(
    store.getMany([identityRowKey]),
    ([row]): Effect.Effect<void, StorageError> => {
      if (row === undefined) return Effect.void
      const decoded = decodeIdentityRow(row)
      if (Result.isFailure(decoded)) return Effect.fail(corrupt(decoded.failure.message))
      const identity = decoded.success
      // A snapshot of another history would replace what this node promised; connections are checked against that.
      if (current !== undefined && current !== identity) {
        return Effect.fail(corrupt(`it holds the cluster identity ${identity}, and this node is of ${current}`))
      }
      return Effect.sync(() => learn(identity))
    }
  )

  /** Applies an identity entry. The first one wins, so that every node ends with the same identity. */
  const adopt = Effect.fnUntraced(function*({ index, payload, term }: Entry) {
    const identity = decodeIdentityEntry(payload) as ClusterIdentity
    if (current !== undefined) return yield* store.commit([], { index, term })
    yield* store.commit([{ _tag: "Put", key: identityRowKey, value: encodeIdentityRow(identity) }], { index, term })
    // Durable before it is used, so that a restart knows it at once: a node that does not know its cluster may be taken
    // into another one.
    yield* store.sync
    learn(identity)
    yield* Effect.logInfo(`the cluster has the identity ${identity}`)
  })

  /** Stops before an identity entry, and behind it: the node calls again with what is left. */
  const apply = (entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyArray<Uint8Array>, StorageError> => {
    const at = entries.findIndex(isIdentityEntry)
    if (at === 0) return Effect.as(adopt(entries[0] as Entry), [noReply])
    return machine.apply(at < 0 ? entries : entries.slice(0, at))
  }

  yield* load
  return Context.make(
    StateMachine,
    StateMachine.of({
      ...machine,
      check: (command, origin, kept) => {
        if (decodeIdentityEntry(command) === undefined) return machine.check(command, origin, kept)
        return origin === "log" ? undefined : reserved
      },
      apply,
      reload: Effect.andThen(machine.reload, load)
    })
  ).pipe(Context.add(OwnIdentity, OwnIdentity.of({ current: () => current, known: Deferred.await(known), proposal })))
})

/** The machine of a node, with the identity of the cluster and its feature level beside it. */
export const layer: Layer.Layer<
  StateMachine | OwnIdentity | OwnLevel.OwnLevel,
  StorageError,
  StateMachine | StateStore
> = Layer.provideMerge(Layer.effectContext(make), OwnLevel.layer)
