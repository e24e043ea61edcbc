/** A client and a node of different versions learn from `Hello` that they are, and not from bytes that are no call. */
import { assert, it } from "@effect/vitest"
import { Exit, Redacted, Schema } from "effect"
import { Rpc } from "effect/rpc"
import { clientProtocolVersion, ClientRpcs, WrongProtocol } from "../../src/protocol/ClientRpcs.ts"
import { Overloaded } from "../../src/FlareDbError.ts"
import { serialization } from "./Frames.ts"

/** `Hello` of client protocol 4. */
const Hello4 = Rpc.make("client.Hello", {
  payload: { protocolVersion: Schema.Natural },
  success: Schema.Struct({
    clusterId: Schema.String,
    identity: Schema.NullOr(Schema.String),
    nodeId: Schema.Natural,
    version: Schema.String
  }),
  error: Schema.Union([WrongProtocol, Overloaded])
})

const Hello = ClientRpcs.requests.get("client.Hello") as Rpc.AnyWithProps

const codec = (schema: Schema.Top) => serialization.codecFor(schema as Schema.Codec<unknown, unknown>)
const encode = (schema: Schema.Top, value: unknown) => Schema.encodeUnknownSync(codec(schema))(value)
const decode = (schema: Schema.Top, bytes: unknown) => Schema.decodeUnknownSync(codec(schema))(bytes)

it("an older client is told which version the node speaks", () => {
  const sent = encode(Hello4.payloadSchema, { protocolVersion: 4 })
  assert.deepInclude(decode(Hello.payloadSchema, sent), { protocolVersion: 4 })
  const refused = Exit.fail(new WrongProtocol({ server: clientProtocolVersion, client: 4 }))
  const answer = encode(Rpc.exitSchema(Hello), refused)
  assert.deepEqual(decode(Rpc.exitSchema(Hello4), answer), refused)
})

it.each([undefined, Redacted.make("fdb_shop_secret")])(
  "an older node is told which version the client speaks",
  (token) => {
    const hello = { protocolVersion: clientProtocolVersion, ...token === undefined ? {} : { token } }
    const sent = encode(Hello.payloadSchema, hello)
    assert.deepInclude(decode(Hello4.payloadSchema, sent), { protocolVersion: clientProtocolVersion })
    const refused = Exit.fail(new WrongProtocol({ server: 4, client: clientProtocolVersion }))
    assert.deepEqual(decode(Rpc.exitSchema(Hello), encode(Rpc.exitSchema(Hello4), refused)), refused)
  }
)
