/** A port whose calls say who makes them, for tests of TLS. */
import { Effect, Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import { NoHello, Overloaded } from "../../../src/FlareDbError.ts"
import type { ConnectionLimits } from "../../../src/net/Connections.ts"
import { Gate } from "../../../src/net/Gate.ts"
import { connect } from "../../../src/net/TcpClient.ts"
import { serve } from "../../../src/net/TcpServer.ts"
import { describeName } from "../../../src/net/tls/CertificateCheck.ts"
import type { DialTls, KeyMaterial, PortTls } from "../../../src/net/tls/Credentials.ts"
import { MemoryCredentials } from "../../../src/net/tls/Credentials.ts"
import { Remotes } from "../../../src/net/tls/Remotes.ts"

export const host = "127.0.0.1"

/** One call, whose answer is the caller's name, `anonymous` or `plain`. */
export class WhoRpcs extends RpcGroup.make(
  Rpc.make("Who", { success: Schema.String, error: Schema.Union([NoHello, Overloaded]) })
) {}

/** How a port of the cluster "orders" is served. */
export const portTls = (material: KeyMaterial, demand: PortTls["demand"] = "optional"): PortTls => ({
  mode: "on",
  credentials: new MemoryCredentials(material),
  cluster: "orders",
  demand
})

/** Serves such a port, plainly without `tls`. */
export const whoPort = Effect.fnUntraced(function*(tls: PortTls | undefined, limits?: ConnectionLimits) {
  const remotes = new Remotes()
  const gate = new Gate(WhoRpcs, {
    hello: "Who",
    noHello: (call) => new NoHello({ call }),
    overloaded: (error) => error
  })
  let calls = 0
  const handlers = WhoRpcs.toLayer({
    Who: (_, { client }) =>
      Effect.sync(() => {
        calls++
        gate.admit(client.id)
        const remote = remotes.of(client.id)
        return remote._tag === "Named" ? describeName(remote.name) : remote._tag.toLowerCase()
      })
  })
  const { port } = yield* serve(WhoRpcs, {
    name: "client",
    host,
    port: 0,
    maxFrameBytes: 1024,
    gate,
    remotes,
    ...(tls === undefined ? {} : { tls }),
    ...(limits === undefined ? {} : { limits })
  }).pipe(Effect.provide(handlers))
  return { port, calls: () => calls }
})

/** A connection to such a port. */
export const dial = (port: number, tls?: DialTls, at = host) =>
  connect(WhoRpcs, { host: at, port, openTimeoutMs: 2_000, tls })

/** Who the port says we are, on a connection of its own. */
export const ask = (port: number, tls?: DialTls, at = host) =>
  Effect.scoped(Effect.flatMap(dial(port, tls, at), (rpcs) => rpcs.Who()))
