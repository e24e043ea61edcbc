/** Calls as they are on the wire, made by hand: whoever attacks a port uses no client. */
import { Effect, Schema } from "effect"
import type { Rpc } from "effect/rpc"
import { RpcSerialization } from "effect/rpc"
import { ClientRpcs } from "../../src/client/ClientRpcs.ts"
import { StateRpcs } from "../../src/client/StateRpcs.ts"
import { PeerRpcs } from "../../src/transport/PeerRpcs.ts"

const serialization = Effect.runSync(
  Effect.provide(RpcSerialization.RpcSerialization, RpcSerialization.layerSchemaBinary({ maxFrameSize: "unbounded" }))
)

export const frame = (message: object): Uint8Array => serialization.makeUnsafe().encode(message as never) as Uint8Array

/** A call whose payload need not be what its tag asks for. */
export const request = (id: unknown, tag: string, payload: Uint8Array, more: object = {}): Uint8Array =>
  frame({ _tag: "Request", id, tag, payload, headers: [], ...more })

const calls =
  (group: { readonly requests: ReadonlyMap<string, Rpc.Any> }) =>
  (id: unknown, tag: string, payload: unknown): Uint8Array => {
    const rpc = group.requests.get(tag) as Rpc.AnyWithProps
    const codec = serialization.codecFor(rpc.payloadSchema as Schema.Codec<unknown, unknown>)
    return request(id, tag, Schema.encodeUnknownSync(codec)(payload) as Uint8Array)
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

export const clientCall = calls(ClientRpcs)
export const stateCall = calls(StateRpcs)
export const peerCall = calls(PeerRpcs)
