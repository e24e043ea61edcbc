/** Three nodes and two clients of them, on which the suites of `flaredb/testing` run. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Context, Effect, Layer, References } from "effect"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import * as Cluster from "./Cluster.ts"

export type Clients = ReadonlyArray<Layer.Layer<ClientServices>>

/** For all tests of a file. */
export class TwoClients extends Context.Service<TwoClients, {
  readonly cluster: Cluster.Cluster
  readonly clients: Clients
}>()("test/TwoClients") {
  static readonly layer = Layer.effect(
    TwoClients,
    Effect.gen(function*() {
      const cluster = yield* Cluster.make(3)
      yield* Cluster.start(cluster)
      const client = Effect.map(
        Layer.build(Layer.fresh(Cluster.client(cluster))),
        (context): Layer.Layer<ClientServices> => Layer.succeedContext(context)
      )
      return { cluster, clients: [yield* client, yield* client] }
    })
  ).pipe(Layer.provide(NodeServices.layer), Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn")))
}

/** What is built over it is built over one client and then over the other. */
export const inTurn = <A, E>(clients: Clients, own: Layer.Layer<A, E, ClientServices>): Layer.Layer<A, E> => {
  let built = 0
  return Layer.unwrap(Effect.sync(() => Layer.provide(own, clients[built++ % 2] as Layer.Layer<ClientServices>)))
}
