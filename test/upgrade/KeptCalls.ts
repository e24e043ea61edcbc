/**
 * Calls and answers of every port as they are on the wire of this release, with what they say. Later ones read the same
 * of them, whatever became of the schemas and of the serialization meanwhile.
 */
import { Exit, Option, Schema } from "effect"
import type { Rpc } from "effect/rpc"
import { Rpc as Rpcs, RpcSchema } from "effect/rpc"
import { ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { PeerRpcs } from "../../src/protocol/PeerRpcs.ts"
import { StateRpcs } from "../../src/protocol/StateRpcs.ts"
import { frame, serialization } from "../wire/Frames.ts"
import { samplesOf } from "./SampleValues.ts"

export interface KeptCall {
  readonly call: string
  /** What of the call it is: what is asked, a part of a streamed answer, or the answer. */
  readonly part: "payload" | "chunk" | "success" | "error"
  /** The whole frame, in base64. */
  readonly frame: string
  /** What it says, as JSON. */
  readonly says: unknown
}

const calls = ClientRpcs.merge(StateRpcs, PeerRpcs).requests as unknown as ReadonlyMap<string, Rpc.AnyWithProps>

const plain = (schema: Schema.Top) => schema as unknown as Schema.Codec<unknown, unknown>
const json = (schema: Schema.Top) => Schema.toCodecJson(plain(schema))
const wire = (schema: Schema.Top) => serialization.codecFor(plain(schema))

/** The schemas of the parts of a call. */
const schemasOf = (rpc: Rpc.AnyWithProps): ReadonlyArray<readonly [KeptCall["part"], Schema.Top]> => {
  const { errorSchema, payloadSchema, successSchema } = rpc
  const answers = RpcSchema.isStreamSchema(successSchema)
    ? [["chunk", successSchema.success], ["error", successSchema.error]] as const
    : [["success", successSchema], ["error", errorSchema]] as const
  return [["payload", payloadSchema], ...answers]
}

/** The frame of a value of a part. */
const frameOf = (rpc: Rpc.AnyWithProps, part: KeptCall["part"], schema: Schema.Top, value: unknown): Uint8Array => {
  if (part === "payload") {
    const payload = Schema.encodeUnknownSync(wire(schema))(value)
    return frame({ _tag: "Request", id: 7, tag: rpc._tag, payload, headers: [] })
  }
  if (part === "chunk") {
    const values = Schema.encodeUnknownSync(wire(Schema.NonEmptyArray(schema)))([value])
    return frame({ _tag: "Chunk", requestId: 7, values })
  }
  const exit = part === "success" ? Exit.succeed(value) : Exit.fail(value)
  return frame({ _tag: "Exit", requestId: 7, exit: Schema.encodeUnknownSync(wire(Rpcs.exitSchema(rpc)))(exit) })
}

/** The calls of this release. */
export const callsOfThisRelease = (): ReadonlyArray<KeptCall> =>
  [...calls].flatMap(([call, rpc]) =>
    schemasOf(rpc).flatMap(([part, schema]) =>
      samplesOf(schema).map((says) => {
        const value = Schema.decodeUnknownSync(json(schema))(says)
        const bytes = frameOf(rpc, part, schema, value)
        return { call, part, frame: Buffer.from(bytes).toString("base64"), says }
      })
    )
  )

/** What this release reads of a kept frame, as JSON. @throws when it does not read it. */
export const readCall = ({ call, frame, part }: KeptCall): unknown => {
  const rpc = calls.get(call)
  if (rpc === undefined) throw new Error(`there is no call ${call} any more`)
  const [message] = serialization.makeUnsafe().decode(Buffer.from(frame, "base64")) as ReadonlyArray<{
    readonly _tag: string
    readonly tag?: string
    readonly payload?: unknown
    readonly values?: unknown
    readonly exit?: unknown
  }>
  const schema = schemasOf(rpc).find(([name]) => name === part)?.[1] as Schema.Top
  const said = (value: unknown) => Schema.encodeUnknownSync(json(schema))(value)
  if (message?._tag === "Request" && message.tag === call) {
    return said(Schema.decodeUnknownSync(wire(rpc.payloadSchema))(message.payload))
  }
  if (message?._tag === "Chunk") {
    const [value] = Schema.decodeUnknownSync(wire(Schema.NonEmptyArray(schema)))(message.values) as ReadonlyArray<
      unknown
    >
    return said(value)
  }
  const exit = Schema.decodeUnknownSync(wire(Rpcs.exitSchema(rpc)))(message?.exit) as Exit.Exit<unknown, unknown>
  return said(Exit.isSuccess(exit) ? exit.value : Option.getOrThrow(Exit.findErrorOption(exit)))
}
