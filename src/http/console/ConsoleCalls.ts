/**
 * What the page of a console asks a node for, one call each: what it takes, and how it is answered with the client of
 * its caller. `docs/console.md` is for people; this is between the page and its node, and changes with them.
 */
import { Effect, Option, Schema } from "effect"
import { ClusterAdmin } from "../../client/ClusterAdmin.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { Leases } from "../../client/Lease.ts"
import type { ClientServices } from "../../client/RemoteClient.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { Conflict } from "../../FlareDbError.ts"
import { base64, Bytes } from "./KeyBytes.ts"
import { keyHistory } from "./KeyHistory.ts"
import { treeLevel } from "./KeyTree.ts"
import { lines } from "./Lines.ts"
import { utf8Text } from "../../bytes/Utf8.ts"

/** A failure that the page shows. */
export interface Failure {
  readonly _tag: string
  readonly message: string
}

export interface ConsoleCall {
  /** The answer as JSON to a payload as JSON; fails with a `SchemaError` for one that it does not take. */
  readonly answer: (payload: unknown) => Effect.Effect<unknown, Failure, ClientServices>
  readonly changes: boolean
}

const call = <Input, Encoded>(
  payload: Schema.Codec<Input, Encoded>,
  answer: (input: Input) => Effect.Effect<unknown, Failure, ClientServices>,
  changes = false
): ConsoleCall => ({
  answer: (given) =>
    Effect.flatMap(
      Effect.mapError(
        Schema.decodeUnknownEffect(payload)(given),
        (error): Failure => ({ _tag: "InvalidArgument", message: error.message })
      ),
      answer
    ),
  changes
})

const change = <Input, Encoded>(
  payload: Schema.Codec<Input, Encoded>,
  answer: (input: Input) => Effect.Effect<unknown, Failure, ClientServices>
): ConsoleCall => call(payload, answer, true)

/** Values that a page does not show whole; it says so, and offers to load it. */
const maxShownBytes = 256 * 1024

const getKey = Effect.fnUntraced(function*(key: Uint8Array, whole: boolean) {
  const kv = yield* KeyValue
  const found = yield* kv.get(key)
  if (Option.isNone(found)) return null
  const { createRevision, lease, modRevision, value, version } = found.value
  const shown = whole ? value : value.subarray(0, maxShownBytes)
  return { value: base64(shown), bytes: value.byteLength, createRevision, modRevision, version, lease }
})

/** Writes on the condition that the key is as the page showed it; `Conflict` says that another one wrote meanwhile. */
const writeKey = Effect.fnUntraced(function*(key: Uint8Array, value: Uint8Array | undefined, revision: number) {
  const kv = yield* KeyValue
  const current = yield* kv.get(key)
  const lease = Option.isSome(current) ? current.value.lease : 0
  const written = yield* kv.transact({
    if: [Compare.modRevision(key).equals(revision)],
    // Its lease stays: an operator who corrects a value does not want the key to outlive its owner.
    do: [value === undefined ? Op.delete(key) : Op.put(key, value, { lease })]
  })
  if (!written.succeeded) return yield* new Conflict({ key: utf8Text(key), attempts: 1 })
  return { revision: written.revision }
})

const Key = Schema.Struct({ key: Bytes })
const Cursor = Schema.Struct({ prefix: Bytes, cursor: Schema.optionalKey(Bytes) })
const Id = Schema.Struct({ id: Schema.Natural })
const Nothing = Schema.Struct({})

/** Leases of one answer: a page with more is none that a person reads. */
const maxLeases = 1_000

export const consoleCalls: Readonly<Record<string, ConsoleCall>> = {
  tree: call(Cursor, ({ cursor, prefix }) => treeLevel(prefix, cursor)),
  get: call(Schema.Struct({ key: Bytes, whole: Schema.Boolean }), ({ key, whole }) => getKey(key, whole)),
  history: call(
    Schema.Struct({ key: Bytes, before: Schema.optionalKey(Schema.Natural) }),
    ({ before, key }) => keyHistory(key, before)
  ),
  leases: call(Nothing, () =>
    Effect.map(Effect.flatMap(Leases, (leases) => leases.list()), (all) => ({
      leases: all.slice(0, maxLeases),
      left: Math.max(0, all.length - maxLeases)
    }))),
  lease: call(
    Id,
    ({ id }) =>
      Effect.map(Effect.flatMap(Leases, (leases) => leases.timeToLive(id)), ({ keys, ...lease }) => ({
        ...lease,
        keys: keys.slice(0, maxLeases).map(base64)
      }))
  ),
  locks: call(Nothing, () => lines("lock")),
  elections: call(Nothing, () => lines("election")),
  sessions: call(
    Schema.Struct({ after: Schema.Natural }),
    ({ after }) => Effect.flatMap(ClusterAdmin, (admin) => admin.sessions({ after, limit: 100 }))
  ),
  put: change(
    Schema.Struct({ key: Bytes, value: Bytes, revision: Schema.Natural }),
    ({ key, revision, value }) => writeKey(key, value, revision)
  ),
  delete: change(
    Schema.Struct({ ...Key.fields, revision: Schema.Natural }),
    ({ key, revision }) => writeKey(key, undefined, revision)
  ),
  revoke: change(
    Id,
    ({ id }) => Effect.map(Effect.flatMap(Leases, (leases) => leases.revoke(id)), (deleted) => ({ deleted }))
  ),
  endSession: change(Id, ({ id }) => Effect.flatMap(ClusterAdmin, (admin) => admin.endSession(id))),
  transferLeader: change(
    Schema.Struct({ target: Schema.Natural }),
    ({ target }) =>
      Effect.map(Effect.flatMap(ClusterAdmin, (admin) => admin.transferLeader(target)), (leader) => ({ leader }))
  )
}
