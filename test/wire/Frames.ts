/** Calls as they are on the wire, made by hand: whoever attacks a port uses no client. */
import { Effect, Schema } from "effect"
import type { Rpc } from "effect/rpc"
import { RpcSerialization } from "effect/rpc"
import { ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { StateRpcs } from "../../src/protocol/StateRpcs.ts"
import { PeerRpcs } from "../../src/protocol/PeerRpcs.ts"

export const serialization = Effect.runSync(
  Effect.provide(RpcSerialization.RpcSerialization, RpcSerialization.layerSchemaBinary({ maxFrameSize: "unbounded" }))
)

/** The bytes of one message. */
export const frame = (message: object): Uint8Array => serialization.makeUnsafe().encode(message as never) as Uint8Array

/** A call whose payload need not be what its tag asks for. */
export const request = (id: unknown, tag: string, payload: Uint8Array, more: object = {}): Uint8Array =>
  frame({ _tag: "Request", id, tag, payload, headers: [], ...more })

/** The bytes of one call of a group. */
export const call = (
  group: { readonly requests: ReadonlyMap<string, Rpc.Any> },
  id: unknown,
  tag: string,
  payload: unknown,
  more: object = {}
): Uint8Array => {
  const { payloadSchema } = group.requests.get(tag) as Rpc.AnyWithProps
  const codec = serialization.codecFor(payloadSchema as Schema.Codec<unknown, unknown>)
  return request(id, tag, Schema.encodeUnknownSync(codec)(payload) as Uint8Array, more)
}

/** The payloads of the calls that a server makes out of these bytes; none when it refuses them. */
export const payloadsOf = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  try {
    return serialization.makeUnsafe().decode(bytes).flatMap((message) => {
      const { payload } = message as { readonly payload?: unknown }
      return payload instanceof Uint8Array ? [payload] : []
    })
  } catch {
    return []
  }
}

export const clientCall = (id: unknown, tag: string, payload: unknown): Uint8Array => call(ClientRpcs, id, tag, payload)
export const stateCall = (id: unknown, tag: string, payload: unknown): Uint8Array => call(StateRpcs, id, tag, payload)
export const peerCall = (id: unknown, tag: string, payload: unknown): Uint8Array => call(PeerRpcs, id, tag, payload)
