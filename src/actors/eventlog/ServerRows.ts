/**
 * What both kinds of event log servers keep beside their stores: the server's id, and the signing keys of identities.
 */
import { Effect, Option } from "effect"
import { EventJournal } from "effect/eventlog"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Compare, Op } from "../../client/Txn.ts"
import type { ServerKeys } from "./Layout.ts"
import { repeated } from "./Positions.ts"
import { decodeBytes, encodeBytes } from "./Rows.ts"

/** A row that is written once: what it holds, or else what it holds from now on. */
const firstOf = (
  kv: KeyValue["Service"],
  key: string,
  value: Uint8Array
): Effect.Effect<Uint8Array<ArrayBuffer>, ReadFailure | WriteFailure> =>
  Effect.gen(function*() {
    const there = yield* kv.get(key)
    if (Option.isSome(there)) return decodeBytes(there.value)
    yield* kv.transact({ if: [Compare.missing(key)], do: [Op.put(key, encodeBytes(value))] })
    const found = yield* kv.get(key, { consistency: "linearizable" })
    return Option.isSome(found) ? decodeBytes(found.value) : Uint8Array.from(value)
  }).pipe(repeated)

export class ServerRows {
  private readonly kv: KeyValue["Service"]
  private readonly keys: ServerKeys
  private id: EventJournal.RemoteId | undefined

  constructor(kv: KeyValue["Service"], keys: ServerKeys) {
    this.kv = kv
    this.keys = keys
  }

  /** All servers of a name have the same. Effect leaves no room for a failure: it is a defect. */
  readonly remoteId: Effect.Effect<EventJournal.RemoteId> = Effect.suspend(() =>
    this.id === undefined
      ? Effect.orDie(Effect.map(
        firstOf(this.kv, this.keys.id, EventJournal.makeRemoteIdUnsafe()),
        (id) => this.id = id as unknown as EventJournal.RemoteId
      ))
      : Effect.succeed(this.id)
  )

  /** The signing key that a public key came with first. */
  binding(publicKey: string, signingPublicKey: Uint8Array): Effect.Effect<Uint8Array<ArrayBuffer>> {
    return Effect.orDie(firstOf(this.kv, this.keys.binding(publicKey), signingPublicKey))
  }
}
