/** The codecs of a direct call, which both sides make and read by its shapes. Learned once for each call. */
import type { RpcSerialization } from "effect/rpc"
import { Rpc } from "effect/rpc"
import type { AnyBytesShape } from "./BytesTemplate.ts"
import { ShapedCodec } from "./ShapedCodec.ts"

/** Shapes of the payloads and answers of calls, by the calls' names. */
export type CallShapes = Readonly<
  Record<
    string,
    { readonly payload?: ReadonlyArray<AnyBytesShape>; readonly exit?: ReadonlyArray<AnyBytesShape> }
  >
>

export interface CallCodecs {
  readonly payload: ShapedCodec
  readonly exit: ShapedCodec
}

/** Every connection has the same codecs: those of the binary serialization. */
const learned = new WeakMap<Rpc.Any, CallCodecs>()

/** The codecs of a call of a group, whose shapes are those of its group. */
export const callCodecs = (
  rpc: Rpc.Any,
  codecFor: RpcSerialization.RpcSerialization["Service"]["codecFor"],
  shapes: CallShapes
): CallCodecs => {
  const known = learned.get(rpc)
  if (known !== undefined) return known
  const { payloadSchema } = rpc as Rpc.AnyWithProps
  const own = shapes[rpc._tag]
  const codecs = {
    payload: new ShapedCodec(codecFor, payloadSchema, own?.payload ?? []),
    exit: new ShapedCodec(codecFor, Rpc.exitSchema(rpc), own?.exit ?? [])
  }
  learned.set(rpc, codecs)
  return codecs
}
